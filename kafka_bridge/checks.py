"""System checks of what a project must bring along: its settings, and PostgreSQL."""

from collections.abc import Iterator

from django.core.checks import CheckMessage, Error, Warning
from django.db import connections

from kafka_bridge.monitoring.brokers import broker_metrics
from kafka_bridge.runtime import conf

# An event and its headers; what librdkafka receives at once by default (100 MB), with room for several messages.
_SMALLEST_LIMIT, _LARGEST_LIMIT = 16 * 1024, 32 * 1024 * 1024


def check_settings(**_: object) -> list[CheckMessage]:
    """System check: `KAFKA_BRIDGE` is there and makes sense, and the database is PostgreSQL."""
    if not conf.are_there():
        return [Error(conf.MISSING, id="kafka_bridge.E006")]
    return list(_problems(conf.current()))


def _problems(options: conf.BridgeSettings) -> Iterator[CheckMessage]:
    if connections["default"].vendor != "postgresql":
        yield Error(
            f"the default database is {connections['default'].vendor}: outbox and inbox are written for PostgreSQL",
            id="kafka_bridge.E007",
        )
    if options.group_protocol not in ("consumer", "classic"):
        yield Error(
            f"{conf.name_of('group_protocol')} is 'consumer' or 'classic', not {options.group_protocol!r}",
            id="kafka_bridge.E008",
        )
    if options.min_insync_replicas > options.replication_factor:
        yield Error(
            f"{conf.name_of('min_insync_replicas')}={options.min_insync_replicas} copies are wanted of each event, and "
            f"{conf.name_of('replication_factor')}={options.replication_factor} makes fewer: nothing could be written",
            id="kafka_bridge.E009",
        )
    if not _SMALLEST_LIMIT <= options.max_message_bytes <= _LARGEST_LIMIT:
        yield Error(
            f"{conf.name_of('max_message_bytes')} is a number of bytes from {_SMALLEST_LIMIT:,} to {_LARGEST_LIMIT:,}, "
            f"not {options.max_message_bytes:,}: an event needs some room, and consumers fetch no more at once",
            id="kafka_bridge.E010",
        )
    for entry in options.broker_metrics_urls:
        try:
            broker_metrics.read_entry(entry)
        except ValueError:
            yield Error(
                f"{conf.name_of('broker_metrics_urls')} has {entry!r}: write a broker's number and its address, such "
                "as 1=http://kafka-1:7071/metrics, several with commas",
                id="kafka_bridge.E011",
            )
    if not options.namespace:
        yield Warning(
            f"{conf.name_of('namespace')} is empty: then the source of an event is no absolute path",
            id="kafka_bridge.W001",
        )
