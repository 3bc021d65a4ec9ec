"""A real broker that asks everybody who they are, as the brokers of docker-compose.yml do, and lets them do no more."""

import dataclasses
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.management import call_command

from devtools.local.kafka.apache_kafka import ApacheKafka
from devtools.testing.kafka_security import KafkaSecurity
from devtools.testing.services import Services
from kafka_bridge import testing
from kafka_bridge.access import roles
from kafka_bridge.runtime.conf import BridgeSettings

PREFIX = "house_"


class SecuredKafka:
    """The broker, and ways to be one role or another on it."""

    def __init__(self, kafka: ApacheKafka, security: KafkaSecurity) -> None:
        self.kafka = kafka
        self.security = security
        self.passwords = {name: f"secret-of-{name}" for name in [*roles.names(), "web"]}

    def admin(self, bridge: BridgeSettings) -> BridgeSettings:
        """The settings of a process that may do everything."""
        own = self.security.admin()
        [broker] = self.kafka.brokers.values()
        return dataclasses.replace(
            bridge,
            bootstrap_servers=broker.admin_address,
            security_protocol="SSL",
            sasl_mechanism="",
            ssl_ca_location=own["ssl.ca.location"],
            ssl_certificate_location=own["ssl.certificate.location"],
            ssl_key_location=own["ssl.key.location"],
            principal_prefix=PREFIX,
            role_passwords=self.passwords,
        )

    def role(self, bridge: BridgeSettings, name: str, *, password: str | None = None) -> BridgeSettings:
        """The settings of a process of that role."""
        return dataclasses.replace(
            bridge,
            bootstrap_servers=self.kafka.bootstrap_servers,
            security_protocol="SASL_SSL",
            sasl_mechanism="SCRAM-SHA-512",
            sasl_username=PREFIX + name,
            sasl_password=password if password is not None else self.passwords[name],
            ssl_ca_location=str(self.security.ca),
            ssl_certificate_location="",
            ssl_key_location="",
        )


@pytest.fixture(scope="module")
def secured_broker(_kafka_possible: None, services: Services) -> Iterator[SecuredKafka]:
    """One broker for the run, with nothing in it."""
    folder = services.state.path / "kafka-secured"
    shutil.rmtree(folder, ignore_errors=True)
    security = KafkaSecurity(folder / "certificates")
    kafka = ApacheKafka(
        services.supervisor, folder=folder, jars=services.jars, name="secured", security=security
    )  # fmt: skip
    kafka.start()
    yield SecuredKafka(kafka, security)
    kafka.kill(1)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def secured(secured_broker: SecuredKafka, settings: Any) -> SecuredKafka:
    """The broker with the catalogue's topics and the rights of all roles; the process itself is the administrator."""
    settings.KAFKA_BRIDGE = secured_broker.admin(settings.KAFKA_BRIDGE)
    testing.make_topics()
    call_command("create_acls", "--prune", verbosity=0)
    return secured_broker


@pytest.fixture
def as_role(secured: SecuredKafka, settings: Any) -> Any:
    """`with as_role("payments"): …` is that role inside, and the administrator again afterwards."""

    @contextmanager
    def be(name: str, *, password: str | None = None) -> Iterator[None]:
        before = settings.KAFKA_BRIDGE
        settings.KAFKA_BRIDGE = secured.role(before, name, password=password)
        yield
        settings.KAFKA_BRIDGE = before

    return be
