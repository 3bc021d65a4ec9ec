"""What `manage.py audit` says and with which exit code; and the audit that the timekeeper runs."""

import getpass
import json
import os
import subprocess
import sys
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from devtools.local.postgres import Postgres
from devtools.testing.shop import shop_at_rest
from devtools.testing.shop.shop_at_rest import Shop, audit_command, execute
from orders.models import Order
from shop import jobs
from shop.audit import runner
from shop.models import AuditRun

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stock, pytest.mark.usefixtures("slow_carrier")]


def manage(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run `manage.py` as people do."""
    return subprocess.run(  # noqa: S603 - our own command line
        [sys.executable, "manage.py", *arguments],
        env={**os.environ, **environment},
        cwd=settings.BASE_DIR,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# -- What it says -------------------------------------------------------------------------------------------
def test_a_clean_shop_is_told_so(shop: Shop) -> None:
    code, out = audit_command()
    assert code == 0
    assert f"Clean: {len(runner.RULES)} invariants hold (" in out
    assert sum(line.rstrip().endswith(" holds") for line in out.splitlines()) == len(runner.RULES)
    assert AuditRun.objects.get().by == getpass.getuser()


def test_what_is_off_is_told_with_examples(shop: Shop) -> None:
    execute("UPDATE orders_order SET cancel_reason = '' WHERE id = %(ended)s", shop.names)
    code, out = audit_command()
    reference = Order.objects.get(pk=shop.ended).reference
    assert code == 1
    assert f"order {reference}" in out
    assert "1 wrong" in out
    assert f"Something is off: 1 of {len(runner.RULES)} invariants" in " ".join(out.split())


def test_json_is_one_object(shop: Shop) -> None:
    execute("UPDATE orders_order SET cancel_reason = '' WHERE id = %(ended)s", shop.names)
    code, out = audit_command("--json")
    told = json.loads(out)
    assert (code, told["clean"], sorted(told)) == (1, False, ["clean", "invariants", "seconds"])
    assert [entry for entry in told["invariants"] if entry["count"]] == [
        {
            "name": "every cancelled order has a reason",
            "count": 1,
            "examples": [f"order {Order.objects.get(pk=shop.ended).reference} ({shop.ended})"],
        }
    ]
    assert all(set(entry) - {"note"} == {"name", "count", "examples"} for entry in told["invariants"])


@pytest.mark.parametrize("options", [["--dry-run"], ["--grace", "-1"], ["--grace", "soon"]], ids=" ".join)
def test_options_that_make_no_sense_are_refused(options: list[str]) -> None:
    done = manage("audit", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert options[0] in done.stderr


def test_without_postgresql_it_says_that_it_could_not_be_run(shop: Shop, postgres_server: Postgres) -> None:
    connection.close()
    postgres_server.kill()
    try:
        code, out = audit_command()
    finally:
        connection.close()
        postgres_server.start()
    assert code == 3
    assert out.startswith("The audit could not be run: PostgreSQL is not available (")
    assert "\n" not in out


# -- The timekeeper's ---------------------------------------------------------------------------------------
def test_the_timekeeper_audits_and_forgets_old_results(shop: Shop) -> None:
    now = timezone.now()
    for days, is_clean in ((6, True), (8, True), (8, False), (89, False), (91, False)):
        AuditRun.objects.create(started_at=now - timedelta(days=days), seconds=1, is_clean=is_clean, by=str(days))
    jobs.audit_shop()
    kept = list(AuditRun.objects.values_list("by", "is_clean"))
    assert kept == [("timekeeper", True), ("6", True), ("8", False), ("89", False)]


def test_the_timekeeper_gives_up_an_audit_that_takes_too_long(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(jobs, "LIMIT_SECONDS", 0.5)
    with shop_at_rest.locked("orders_order"):
        jobs.audit_shop()
    assert caplog.messages == ["the audit was aborted: PostgreSQL took longer than 0.5 s"]
    jobs.audit_shop()
    assert AuditRun.objects.count() == 1


@pytest.mark.parametrize(("seconds", "found"), [("7", "[(7.0, True, True)]"), ("0", "[]")])
def test_the_timekeeper_audits_as_often_as_it_is_told(seconds: str, found: str) -> None:
    """And not at once: what a shop finds that was off for hours is put right first. Nothing else waits for it."""
    code = (
        "import time; from shop import jobs; from kafka_bridge.runtime import scheduler; "
        "print([(job.seconds, job.due_at > time.monotonic() + 1, job.background) for job in scheduler.jobs() "
        "if job.function is jobs.audit_shop])"
    )
    done = manage("shell", "--verbosity", "0", "-c", code, AUDIT_SECONDS=seconds)
    assert done.stdout.strip() == found, done.stderr
