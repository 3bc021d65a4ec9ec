"""A running shop with the pages and the control that a demo has, ticked by whoever waits."""

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from devtools.demo_control.acts import Parts
from devtools.demo_control.control import DemoControl
from devtools.demo_control.experiment_runs import FILE
from devtools.local.kafka.apache_kafka import ApacheKafka
from devtools.local.state_dir import StateDir
from devtools.testing.processes import Shop

HINTS = "SHOW_DEMO_HINTS"


class DemoInTest:
    """Its `fetch` and `wait` tick, as the demo's own loop does; `supervisor` wants to be called from one thread."""

    def __init__(self, shop: Shop, kafka: ApacheKafka) -> None:
        state = StateDir(Path(shop.environment["BOOKRUSH_STATE_DIR"]))
        state.run.mkdir(exist_ok=True)
        self._run = state.run
        self.shop = shop
        parts = Parts(
            supervisor=shop.supervisor, roles=shop.roles, kafka=kafka, environment=lambda: shop.environment
        )  # fmt: skip
        self.control = DemoControl(parts, sockets=state.sockets, run=state.run)
        self._client = httpx.Client(base_url=shop.url, timeout=60, trust_env=False)
        self._pool = ThreadPoolExecutor(1)

    def open(self) -> None:
        """The role web gets the pages, and the control listens; an experiment of an earlier run is forgotten."""
        (self._run / FILE).unlink(missing_ok=True)
        self.shop.environment[HINTS] = "true"
        self.shop.restart("web")
        self.control.open()

    def close(self) -> None:
        """As it was."""
        for broken in self.control.breaker.as_object()["now"]:
            self.control.breaker.undo(broken["id"])
        self.control.experiments.stop()
        self.control.close()
        self._client.close()
        self._pool.shutdown()
        del self.shop.environment[HINTS]
        self.shop.ensure_running()
        self.shop.restart("web")

    def tick(self) -> None:
        """One round of the demo's loop."""
        self.shop.look_after()
        self.control.tick()

    def get(self, path: str, **headers: str) -> httpx.Response:
        """A page."""
        return self._ticking(lambda: self._client.get(path, headers=headers))

    def post(self, path: str, *, has_token: bool = True, **fields: str | int) -> httpx.Response:
        """A form of the page, with the token that the page gave it."""
        if has_token:
            found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.get(path).text)
            assert found, "a form without a token"
            fields["csrfmiddlewaretoken"] = found[1]
        return self._ticking(lambda: self._client.post(path, data=fields))

    def wait(self, condition: Callable[[], object], what: str, *, seconds: float = 180) -> None:
        """Until it is true; nobody looks at a page meanwhile."""
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, f"{what} took longer than {seconds:g} s"
            self.tick()
            time.sleep(0.05)

    def _ticking(self, ask: Callable[[], httpx.Response]) -> httpx.Response:
        answer = self._pool.submit(ask)
        while not answer.done():
            self.tick()
            time.sleep(0.02)
        return answer.result()
