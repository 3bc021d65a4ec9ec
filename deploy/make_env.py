"""Copy `.env.example` to `.env` and fill in fresh secrets: `python3 deploy/make_env.py`. Needs nothing but Python.

With `--add`, a `.env` of an older release gets the secrets that it lacks; what is in it stays.
"""

import os
import re
import secrets
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Every variable of the example that has such a name and no value; one that has `#` in front is not needed.
SECRET = re.compile(r"^(SECRET_KEY|PAYMENT_WEBHOOK_SECRETS|\w+_PASSWORD)=$", re.MULTILINE)


def fill(example: str) -> str:
    """The example with a value for every secret that has none: 64 letters and digits, safe in an address."""
    return SECRET.sub(lambda found: f"{found[1]}={secrets.token_hex(32)}", example)


def add(target: Path, example: str) -> int:
    """Append the secrets that the file lacks; returns how many."""
    present = set(re.findall(r"^(\w+)=.", target.read_text(), flags=re.MULTILINE))
    missing = [name for name in SECRET.findall(example) if name not in present]
    with target.open("a") as file:
        file.writelines(f"{name}={secrets.token_hex(32)}\n" for name in missing)
    return len(missing)


def main() -> int:
    """Write `.env` for its owner's eyes only; never overwrite one. Exit code 1: there is one already."""
    target = ROOT / ".env"
    example = (ROOT / ".env.example").read_text()
    if sys.argv[1:] == ["--add"] and target.exists():
        print(f"Added {add(target, example)} secrets to {target}.")
        return 0
    content = fill(example)
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        print(f"{target} is there already and stays as it is: --add gives it the secrets it lacks.", file=sys.stderr)
        return 1
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
    print(f"Wrote {target} with fresh secrets. Next: docker compose up --build --wait")
    return 0


if __name__ == "__main__":
    sys.exit(main())
