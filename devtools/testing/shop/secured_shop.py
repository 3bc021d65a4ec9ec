"""A whole shop in which every process signs in as itself, and may do no more than docker-compose.yml lets it."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

from devtools.local import roles
from devtools.testing.processes import DATABASE, Shop
from devtools.testing.services import Services

PREFIX = "bookrush_"
ROLES = [roles.WEB, roles.LIVE, roles.RELAY, roles.TIMEKEEPER, *roles.group_names()]
OTHERS = ["operator", "kafka_ui", "redis_exporter"]
PASSWORDS = {role: f"secretof{role}" for role in [*ROLES, *OTHERS]}


class SecuredShop(Shop):
    """Its own PostgreSQL, Redis and Kafka; `environment` is the administrator's, `environment_of` a role's."""

    def __init__(self, services: Services) -> None:
        kafka, security = services.kafka(), services.kafka_security
        if security is None:
            raise ValueError("the services' Kafka asks nobody who they are")
        own, [broker] = security.admin(), kafka.brokers.values()
        in_redis = {f"{role.upper()}_PASSWORD": password for role, password in PASSWORDS.items()}
        self._role_settings = {
            "DATABASE_URL": services.postgres.url(DATABASE).replace(f"{PREFIX[:-1]}@", "@"),
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "KAFKA_SSL_CA_LOCATION": str(security.ca),
            "KAFKA_SSL_CERTIFICATE_LOCATION": "",
            "KAFKA_SSL_KEY_LOCATION": "",
            "ROLE_PASSWORDS": "",
        }
        administrator = {
            # Seldom otherwise; here, what the timekeeper does by the clock is to be seen.
            "AUDIT_SECONDS": "2",
            "LAG_SAMPLE_SECONDS": "10",
            "KAFKA_BOOTSTRAP_SERVERS": broker.admin_address,
            "KAFKA_SECURITY_PROTOCOL": "SSL",
            "KAFKA_SSL_CA_LOCATION": own["ssl.ca.location"],
            "KAFKA_SSL_CERTIFICATE_LOCATION": own["ssl.certificate.location"],
            "KAFKA_SSL_KEY_LOCATION": own["ssl.key.location"],
            "ROLE_PASSWORDS": ",".join(f"{role}={password}" for role, password in PASSWORDS.items()),
        }
        accounts: dict[str, dict[str, str]] = {}
        super().__init__(services, settings=administrator, accounts=accounts, redis_passwords=in_redis)
        self._role_settings["REDIS_URL"] = f"unix://{urlsplit(self.redis.url()).path}"
        accounts |= {role: self.settings_of(role) for role in [*ROLES, roles.GATEWAY]}

    def settings_of(self, role: str) -> dict[str, str]:
        """Environment variables by which a process is that role."""
        return self._role_settings | {"ACCOUNT": role, "ACCOUNT_PASSWORD": PASSWORDS.get(role, "")}

    def database_url(self, role: str) -> str:
        """PostgreSQL as that role."""
        parts = urlsplit(self.environment["DATABASE_URL"])
        return urlunsplit(parts._replace(netloc=f"{PREFIX}{role}@"))

    def redis_url(self, role: str, database: int) -> str:
        """Redis as that role."""
        path = urlsplit(self.redis.url()).path
        return f"unix://{PREFIX}{role}:{PASSWORDS[role]}@{path}?db={database}"

    def prepare(self) -> None:
        """Tables, topics, accounts and their rights, books: as deploy/setup.sh does."""
        super().prepare()
        self.manage("create_database_roles")
        self.manage("create_acls", "--prune")


@contextmanager
def open_shop() -> Iterator[SecuredShop]:
    """The shop with every role running; it is gone afterwards."""
    services = Services(purpose="secured", is_kafka_secured=True)
    try:
        services.start()
        shop = SecuredShop(services)
        shop.open()
        yield shop
        shop.close()
    finally:
        services.stop()
