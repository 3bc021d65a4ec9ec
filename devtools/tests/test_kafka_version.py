"""Which Apache Kafka we run: one release everywhere, and none with a bug that stops a consumer group for good."""

from pathlib import Path

import pytest
import yaml
from django.conf import settings

from devtools.local.kafka import kafka_jars

COMPOSE = yaml.safe_load((Path(settings.BASE_DIR) / "docker-compose.yml").read_text())
# Of KAFKA-19862, by release line: https://github.com/apache/kafka/pull/20907 and what was made of it for older lines.
MENDED_IN = {(4, 0): 2, (4, 1): 2}
EVERYTHING_SINCE = (4, 2)


def has_the_fix(release: str) -> bool:
    """Whether this release loads a group's offsets while they are being compacted."""
    major, minor, patch = map(int, release.split("."))
    line = major, minor
    return line >= EVERYTHING_SINCE or patch >= MENDED_IN.get(line, 1000)


@pytest.mark.parametrize(
    ("release", "fixed"),
    [("4.0.1", False), ("4.0.2", True), ("4.1.1", False), ("4.1.2", True), ("4.2.0", True), ("3.9.1", False)],
)
def test_releases_are_told_apart(release: str, fixed: bool) -> None:
    assert has_the_fix(release) is fixed


def test_the_pinned_release_has_the_fix_and_compose_runs_the_same() -> None:
    assert has_the_fix(kafka_jars.version())
    images = {service["image"] for name, service in COMPOSE["services"].items() if name.startswith("kafka-")}
    assert {image for image in images if image.startswith("apache/kafka")} == {f"apache/kafka:{kafka_jars.version()}"}
