"""`manage.py check_alerts`: what it prints, and the exit codes that cron goes by."""

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from devtools.testing import http_receiver
from devtools.testing.shop import overviews as seen
from shop.models import AlertNotice
from shop.operations.alerts import board, checking, output, stamps
from shop.operations.alerts.board import Board

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.operations]


def run(*arguments: str) -> tuple[int, str]:
    """The exit code, and what was printed."""
    out = io.StringIO()
    try:
        call_command("check_alerts", *arguments, stdout=out)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    except CommandError as error:
        return error.returncode, str(error)
    return 0, out.getvalue()


def test_it_looks_by_itself_and_says_what_cannot_be_reached() -> None:
    code, printed = run("--once", "--json")
    found = {(alert["name"], alert["subject"]): alert for alert in json.loads(printed)}
    assert code == 2
    kafka = found["source_unreachable", "kafka"]
    assert {"name", "severity", "since", "message"} <= kafka.keys()
    assert kafka["severity"] == "critical"
    code, printed = run("--once")
    assert code == 2
    assert "source_unreachable" in printed


def test_one_look_trusts_who_evaluates_all_the_time_and_tells_all_where_nobody_does() -> None:
    behind = seen.overview(at=timezone.now(), kafka=seen.kafka(seen.group(messages=5000, handled_per_second=500)))
    assert [alert.name for alert in checking.look(behind)] == ["lag"], "nobody evaluates"
    evaluating = Board()
    evaluating.evaluate(behind)
    stamps.take()
    assert checking.look(behind) == [], "it has not held for its time"
    evaluating.evaluate(seen.later(behind, 31))
    [alert] = checking.look(seen.later(behind, 32))
    assert (alert.name, alert.since) == ("lag", behind.at)
    board.silence("lag", "", timezone.now() + timedelta(hours=1), "me", "On it.")
    [alert] = checking.look(seen.later(behind, 33))
    assert json.loads(output.as_json([alert]))[0]["silenced_because"] == "On it. (me)"
    assert not AlertNotice.objects.exists()


def test_who_looks_again_and_again_sees_what_has_held() -> None:
    eyes = checking.Eyes()
    behind = seen.overview(at=timezone.now(), kafka=seen.kafka(seen.group(messages=5000, handled_per_second=500)))
    assert eyes.look(behind) == []
    assert [alert.name for alert in eyes.look(seen.later(behind, 31))] == ["lag"]
    assert eyes.look(seen.overview(at=behind.at + timedelta(seconds=40)))
    assert eyes.look(seen.overview(at=behind.at + timedelta(seconds=75))) == []


def test_a_test_goes_through_every_channel_and_says_who_took_it(settings: Any) -> None:
    code, printed = run("--test", "lag")
    assert (code, "No channel is set up" in printed) == (3, True)
    with http_receiver.receiving() as receiver:
        settings.ALERT_WEBHOOK_URL, settings.ALERT_WEBHOOK_SECRET = f"{receiver.url}/hook", "s"
        settings.ALERT_CHAT_URL = f"{receiver.url}/chat"
        assert run("--test", "lag") == (0, "webhook: taken\nchat: taken\n")
        said = json.loads(receiver.to("/hook")[0].body)
        assert (said["kind"], said["alert"]["name"]) == ("test", "lag")
        receiver.status = 500
        code, printed = run("--test", "lag", "--json")
        assert code == 3
        assert json.loads(printed)[0] == {"channel": "webhook", "is_taken": False, "error": "the answer was 500"}
    code, printed = run("--test", "lagg")
    assert code == 3
    assert "There is no alert 'lagg'. There are process_missing," in printed
