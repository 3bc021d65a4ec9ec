"""`manage.py check --deploy`: clean with production settings, and not clean without them."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

pytestmark = pytest.mark.security
PRODUCTION = {
    "SECRET_KEY": secrets.token_hex(32),
    "BEHIND_TLS": "true",
    "ALLOWED_HOSTS": "localhost,shop.example.com",
    "DEBUG": "false",
    "PROXY_NETWORKS": "10.0.0.0/8",
    "LIVE_PORT": "0",
    "SERVE_STATIC_FROM_SOURCE": "false",
}


def check_deploy(tmp_path: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the check with nothing in the environment but this."""
    base = {"PATH": os.environ["PATH"], "BOOKRUSH_STATE_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "shop.settings"}
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=settings.BASE_DIR,
        env=base | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_production_settings_are_clean(tmp_path: Path) -> None:
    result = check_deploy(tmp_path, **PRODUCTION)
    assert (result.returncode, result.stdout.strip()) == (
        0,
        "System check identified no issues (0 silenced).",
    ), result.stderr


def test_the_key_for_loopback_is_refused(tmp_path: Path) -> None:
    without_key = {name: value for name, value in PRODUCTION.items() if name != "SECRET_KEY"} | {
        "SECRET_KEY": "django-insecure-bookrush-on-loopback-only"
    }
    result = check_deploy(tmp_path, **without_key)
    assert result.returncode == 1
    assert "security.W009" in result.stderr


def test_plain_http_is_refused(tmp_path: Path) -> None:
    result = check_deploy(tmp_path, **(PRODUCTION | {"BEHIND_TLS": "false"}))
    assert result.returncode == 1
    assert "security.W012" in result.stderr


def test_a_proxy_that_is_not_believed_is_refused(tmp_path: Path) -> None:
    """XA3: all visitors would share the limits of one address."""
    result = check_deploy(tmp_path, **{name: value for name, value in PRODUCTION.items() if name != "PROXY_NETWORKS"})
    assert result.returncode == 1
    assert "shop.W001" in result.stderr
