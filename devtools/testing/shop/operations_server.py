"""The operations page of made-up shops, as the role live serves it.

`python -m devtools.testing.shop.operations_server PORT FILE`, where the file has the name of a scene to show, of
`operations_scenes`.
"""

import os
import sys
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
django.setup()

from django.utils import timezone  # noqa: E402 - Django must be set up first

from devtools.local import roles  # noqa: E402
from devtools.testing.shop import operations_scenes  # noqa: E402
from shop.live import server  # noqa: E402
from shop.live.operations import page as ops  # noqa: E402
from shop.operations.overview.figures import Overview  # noqa: E402
from shop.operations.pages.reading import Sources  # noqa: E402


def main(port: str, scene: str) -> None:
    """Serve until told to stop."""

    def overview() -> Overview:
        made: Overview = getattr(operations_scenes, Path(scene).read_text().strip())(timezone.now())
        return made

    # The role starts with what it collects; here that is the scene.
    ops.start = lambda: ops.reader.use(Sources(overview=overview))
    bounds = [
        "--websocket-max-message-size",
        roles.FRAME_LIMIT_BYTES,
        "--websocket-max-frame-size",
        roles.FRAME_LIMIT_BYTES,
    ]
    server.main(["-b", "127.0.0.1", "-p", port, "-v", "0", *bounds, "shop.asgi:application"])


if __name__ == "__main__":
    main(*sys.argv[1:])
