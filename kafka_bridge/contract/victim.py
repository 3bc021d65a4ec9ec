"""`python -m kafka_bridge.contract.victim RUN`: a consumer that stops in the middle of its work, to be killed."""

import dataclasses
import json
import os
import sys
import threading
from typing import Any

import django
from django.conf import settings
from django.db import connection

from kafka_bridge.runtime import conf

IN_THE_MIDDLE = "in the middle"
_VARIABLE = "KAFKA_BRIDGE_CONTRACT"
_OPTIONS = ("bootstrap_servers", "topic_prefix", "group_prefix", "group_protocol")


def environment() -> dict[str, str]:
    """What a child must know that its settings may not say: a test's database and brokers are others."""
    options = conf.current()
    own = {
        "settings": os.environ.get("DJANGO_SETTINGS_MODULE") or settings.SETTINGS_MODULE,
        "database": connection.settings_dict["NAME"],
        "bridge": {name: getattr(options, name) for name in _OPTIONS},
    }
    return {_VARIABLE: json.dumps(own), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def main() -> None:
    """Join the group `killed` of a run, handle its events, and never commit."""
    own = json.loads(os.environ[_VARIABLE])
    os.environ["DJANGO_SETTINGS_MODULE"] = own["settings"]
    settings.DATABASES["default"]["NAME"] = own["database"]
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, ready_file="", **own["bridge"])
    django.setup()
    _join(sys.argv[1])


def _join(run: str) -> None:
    # Models cannot be imported before Django is set up.
    from kafka_bridge.consuming.runner import Runner  # noqa: PLC0415
    from kafka_bridge.contract.stage import Vocabulary, block_for_ever  # noqa: PLC0415
    from kafka_bridge.publishing import outbox  # noqa: PLC0415

    words = Vocabulary(run)
    group = words.groups["killed"]

    @group.on(words.stated)
    def stop_in_the_middle(event: Any) -> None:
        outbox.publish(words.effect(subject=event.subject, number=event.number, group=group.name))
        if event.subject == "killed":
            print(IN_THE_MIDDLE, flush=True)
            block_for_ever()

    Runner(group, threading.Event()).run()


if __name__ == "__main__":
    main()
