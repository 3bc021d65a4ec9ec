"""Where settings come from, and who this process is."""

from pathlib import Path

import environ

BASE_DIR = Path(__file__).resolve().parents[2]

env = environ.Env()
env.read_env(BASE_DIR / ".env")
STATE_DIR = env.path("BOOKRUSH_STATE_DIR", default=str(BASE_DIR / ".bookrush"))()
env.read_env(Path(STATE_DIR) / "demo.env")

ROLE = env.str("BOOKRUSH_ROLE", default="bookrush")
# A file that a background role touches once it is ready, for the process that started it.
READY_FILE = env.str("BOOKRUSH_READY_FILE", default="")
# Another one, whose modification time says when the role's loop came round last.
ALIVE_FILE = env.str("BOOKRUSH_ALIVE_FILE", default="")
# Who this process is to PostgreSQL, Redis and Kafka, such as `payments`, and its password; without one, their addresses
# say who.
ACCOUNT_PREFIX = env.str("ACCOUNT_PREFIX", default="bookrush_")
ACCOUNT = env.str("ACCOUNT", default="")
ACCOUNT_NAME = ACCOUNT and f"{ACCOUNT_PREFIX}{ACCOUNT}"
ACCOUNT_PASSWORD = env.str("ACCOUNT_PASSWORD", default="")
# By role, its password: only for the process that makes the accounts.
ROLE_PASSWORDS = env.dict("ROLE_PASSWORDS", default={})
# Where this is set, a test that cannot run here fails instead of being skipped.
CI = env.bool("CI", default=False)
