"""Copy `.env.example` to `.env` and fill in fresh secrets: `python3 deploy/make_env.py`. Needs nothing but Python."""

import os
import re
import secrets
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SECRETS = ("SECRET_KEY", "POSTGRES_PASSWORD", "PAYMENT_WEBHOOK_SECRETS")


def fill(example: str) -> str:
    """The example with a value for every secret that has none: 64 letters and digits, safe in an address."""
    for name in SECRETS:
        example = re.sub(rf"^{name}=$", f"{name}={secrets.token_hex(32)}", example, flags=re.MULTILINE)
    return example


def main() -> int:
    """Write `.env` for its owner's eyes only; never overwrite one. Exit code 1: there is one already."""
    target = ROOT / ".env"
    content = fill((ROOT / ".env.example").read_text())
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        print(f"{target} is there already and stays as it is; delete it first to start afresh.", file=sys.stderr)
        return 1
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
    print(f"Wrote {target} with fresh secrets. Next: docker compose up --build --wait")
    return 0


if __name__ == "__main__":
    sys.exit(main())
