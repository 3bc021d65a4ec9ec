"""The brokers' access control lists, compared with what the roles need, and brought there.

Only principals of ours are looked at: those whose names begin with `principal_prefix`, or without one, those of the
roles there are. A prefix is therefore what lets a role that is no more lose its rights, too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from kafka_bridge.access import roles
from kafka_bridge.runtime import clients

_ANSWER_SECONDS = 15.0
# The least that brokers take: passwords are random, so more would only make each connection dearer.
_ITERATIONS = 4096


@dataclass(frozen=True, order=True)
class Acl:
    """One entry of the brokers' lists, in their own words."""

    principal: str
    resource: str
    name: str
    operation: str
    permission: str = "ALLOW"
    host: str = "*"
    pattern: str = "LITERAL"

    def __str__(self) -> str:
        where = "" if self.host == "*" else f" from {self.host}"
        how = "" if self.pattern == "LITERAL" else f" ({self.pattern.lower()})"
        return f"{self.principal} {self.permission} {self.operation} {self.resource} {self.name}{how}{where}"


@dataclass(frozen=True)
class AclChanges:
    """What the brokers have too little and too much of, and how many entries are right."""

    missing: list[Acl]
    excess: list[Acl]
    right: int


def principal(role: str) -> str:
    """The name by which the brokers know a role, such as `User:shop_stock`."""
    return f"User:{clients.conf().principal_prefix}{role}"


def plan() -> AclChanges:
    """Compare what the roles need with what the brokers have.

    Raises:
        KafkaException: the brokers do not answer, have no authorizer, or this principal may not ask them.
    """
    wanted = {
        Acl(principal(right.role), right.resource.upper(), right.name, right.operation) for right in roles.wanted()
    }
    present = {acl for acl in _present(clients.admin()) if _is_ours(acl)}
    return AclChanges(sorted(wanted - present), sorted(present - wanted), len(wanted & present))


def create(acls: Iterable[Acl]) -> None:
    """Add these entries. An entry that is there already stays.

    Raises:
        KafkaException: the brokers refused.
    """
    if bindings := [_binding(acl) for acl in acls]:
        admin = clients.admin()  # kept until it has answered
        for future in admin.create_acls(bindings, request_timeout=_ANSWER_SECONDS).values():
            future.result()


def delete(acls: Iterable[Acl]) -> None:
    """Take exactly these entries away.

    Raises:
        KafkaException: the brokers refused.
    """
    if filters := [_filter(acl) for acl in acls]:
        admin = clients.admin()
        for future in admin.delete_acls(filters, request_timeout=_ANSWER_SECONDS).values():
            future.result()


def set_passwords(passwords: Mapping[str, str]) -> None:
    """Let these roles sign in by SCRAM-SHA-512 with these passwords; connections that are open stay open.

    Raises:
        KafkaException: the brokers refused.
    """
    credentials = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, _ITERATIONS)
    wanted: list[UserScramCredentialAlteration] = [
        UserScramCredentialUpsertion(principal(role).removeprefix("User:"), credentials, password.encode())
        for role, password in passwords.items()
    ]
    if wanted:
        admin = clients.admin()
        for future in admin.alter_user_scram_credentials(wanted).values():
            future.result(_ANSWER_SECONDS)


def _is_ours(acl: Acl) -> bool:
    if prefix := clients.conf().principal_prefix:
        return acl.principal.startswith(f"User:{prefix}")
    return acl.principal in {principal(role) for role in roles.names()}


def _present(admin: AdminClient) -> list[Acl]:
    any_name: Any = None  # as librdkafka wants it, though the types say text
    everything = AclBindingFilter(
        ResourceType.ANY,
        any_name,
        ResourcePatternType.ANY,
        any_name,
        any_name,
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    found = admin.describe_acls(everything, request_timeout=_ANSWER_SECONDS).result()
    return [
        Acl(
            principal=binding.principal,
            resource=binding.restype.name,
            name=binding.name,
            operation=binding.operation.name,
            permission=binding.permission_type.name,
            host=binding.host,
            pattern=binding.resource_pattern_type.name,
        )
        for binding in found
    ]


def _parts(acl: Acl) -> tuple[object, ...]:
    return (
        ResourceType[acl.resource],
        acl.name,
        ResourcePatternType[acl.pattern],
        acl.principal,
        acl.host,
        AclOperation[acl.operation],
        AclPermissionType[acl.permission],
    )


def _binding(acl: Acl) -> AclBinding:
    return AclBinding(*_parts(acl))  # type: ignore[arg-type]  # in this order


def _filter(acl: Acl) -> AclBindingFilter:
    return AclBindingFilter(*_parts(acl))  # type: ignore[arg-type]  # in this order
