"""Prometheus, and Alertmanager if it is wanted, beside a shop on this machine: where they are installed.

They scrape the roles' own metrics, and evaluate the rules that compose's Prometheus evaluates.
"""

import json
import shutil
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from devtools.local import roles
from devtools.local.errors import LocalError
from devtools.local.roles import PROJECT
from devtools.local.supervisor import Command, Supervisor

RULES = PROJECT / "deploy" / "prometheus" / "rules.yml"
PROMETHEUS, ALERTMANAGER = "prometheus", "alertmanager"
# Debian calls the second one by the name of its package.
_BINARIES = {PROMETHEUS: ("prometheus",), ALERTMANAGER: ("alertmanager", "prometheus-alertmanager")}
KEPT = "7d"


def binary(name: str) -> str | None:
    """Where it is installed; None if it is not."""
    return next(filter(None, map(shutil.which, _BINARIES[name])), None)


class Prometheus:
    """One server on a port of loopback, with its data and its configuration in a folder."""

    def __init__(self, supervisor: Supervisor, *, folder: Path, port: int) -> None:
        self._supervisor = supervisor
        self._folder = folder
        self._port = port
        self.url = f"http://127.0.0.1:{port}"

    def start(
        self,
        targets: Mapping[str, str],
        *,
        every: str = "5s",
        alertmanagers: Sequence[str] = (),
        others: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Scrape these roles (`host:port` by name) and evaluate the rules, both so often.

        `others` are what else is scraped, `host:port` by the job's name, as deploy/prometheus/prometheus.yml has it.

        Raises:
            LocalError: it is not installed, or does not start.
        """
        if (program := binary(PROMETHEUS)) is None:
            raise LocalError("Prometheus is not installed here (Debian: apt install prometheus).")
        self._folder.mkdir(parents=True, exist_ok=True)
        self.write_targets(targets)
        config = self._folder / "prometheus.yml"
        config.write_text(json.dumps(self._config(every, alertmanagers, others or {}), indent=1))
        arguments = [
            program,
            f"--config.file={config}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--storage.tsdb.retention.time={KEPT}",
            f"--web.listen-address=127.0.0.1:{self._port}",
            "--log.level=warn",
        ]
        self._supervisor.start(Command(name=PROMETHEUS, arguments=arguments))
        self._supervisor.wait_ready(PROMETHEUS, lambda: roles.answers(f"{self.url}/-/ready"), timeout_seconds=60)

    def write_targets(self, targets: Mapping[str, str]) -> None:
        """Whom it scrapes from now on; it reads the file again by itself."""
        groups = [{"targets": [address], "labels": {"role": role}} for role, address in targets.items()]
        new = self._folder / "targets.new"
        new.write_text(json.dumps(groups, indent=1))
        new.replace(self._targets)

    def stop(self) -> None:
        """End it; its data stays."""
        self._supervisor.stop(PROMETHEUS)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an expression gives now, as a vector.

        Raises:
            urllib.error.HTTPError: it is no expression.
        """
        body = urllib.parse.urlencode({"query": expression}).encode()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.url}/api/v1/query", body, timeout=10) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return found

    @property
    def _targets(self) -> Path:
        return self._folder / "targets.json"

    def _config(self, every: str, alertmanagers: Sequence[str], others: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        return {
            "global": {"scrape_interval": every, "evaluation_interval": every, "scrape_timeout": every},
            "rule_files": [str(RULES)],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": list(alertmanagers)}]}]},
            "scrape_configs": [
                {"job_name": "bookrush", "file_sd_configs": [{"files": [str(self._targets)]}]},
                {"job_name": "prometheus", "static_configs": [{"targets": [f"127.0.0.1:{self._port}"]}]},
                *({"job_name": name, "static_configs": [{"targets": list(each)}]} for name, each in others.items()),
            ],
        }
