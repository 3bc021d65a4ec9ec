"""A local broker with what docker-compose.yml says of sign-in, TLS and rights: the same properties, other addresses."""

import subprocess
from pathlib import Path
from typing import Any

from devtools.local.errors import LocalError
from devtools.local.kafka import kafka_jars

_COMPOSE = kafka_jars.PROJECT / "docker-compose.yml"
_MAKE_CERTIFICATES = kafka_jars.PROJECT / "deploy" / "make_certificates.sh"
_IN_CONTAINERS = "/etc/bookrush/certificates"
# By what these begin; everything else of the brokers in compose is about containers.
_ABOUT_SECURITY = (
    "listener.security.", "listener.name.", "inter.broker.", "sasl.", "ssl.", "authorizer.", "super.",
)  # fmt: skip


class KafkaSecurity:
    """Certificates in a folder of their own, and the settings of brokers and clients that use them."""

    def __init__(self, folder: Path, *, brokers: int = 1) -> None:
        self.folder = folder
        self._names = [f"kafka-{number}" for number in range(1, brokers + 1)]

    def ensure(self) -> None:
        """Make the certificates, where they are missing.

        Raises:
            LocalError: openssl is missing or failed.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        command = ["sh", str(_MAKE_CERTIFICATES), str(self.folder), *self._names, "admin"]
        made = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command line
        if made.returncode:
            raise LocalError(f"The brokers' certificates could not be made: {made.stderr.strip()[-500:]}")

    def properties(self, number: int, *, clients: str, brokers: str) -> dict[str, object]:
        """Properties of one broker; `clients` and `brokers` are the addresses (`host:port`) for these two."""
        import yaml  # noqa: PLC0415 - drills start brokers too, without security, where the demo's packages are all

        environment = yaml.safe_load(_COMPOSE.read_text())["services"][f"kafka-{number}"]["environment"]
        found = {_property(name): value for name, value in environment.items() if name.startswith("KAFKA_")}
        listeners = f"INTERNAL://{clients},BROKER://{brokers}"
        secured: dict[str, object] = {
            name: str(value).replace(_IN_CONTAINERS, str(self.folder))
            for name, value in found.items()
            if name.startswith(_ABOUT_SECURITY)
        }
        return secured | {"advertised.listeners": listeners}

    def admin(self) -> dict[str, Any]:
        """How the administrator's client signs in, by librdkafka's names."""
        own = str(self.folder / "admin.pem")
        return {
            "security.protocol": "SSL",
            "ssl.ca.location": str(self.ca),
            "ssl.certificate.location": own,
            "ssl.key.location": own,
        }

    @property
    def ca(self) -> Path:
        """The authority that signed the brokers' certificates."""
        return self.folder / "ca.pem"


def _property(variable: str) -> str:
    """A broker's property as its image reads it from the environment: `KAFKA_A_B___C` is `a.b-c`."""
    return variable.removeprefix("KAFKA_").lower().replace("___", "-").replace("_", ".")
