"""Kafka knows us and says no, or does not know us: waiting does not help, a person must give the right."""

from confluent_kafka import KafkaError, KafkaException

from kafka_bridge.runtime import conf

EXIT_CODE = 5
"""Of a process that ended because it was refused. It may be started again: the right may have come meanwhile."""
_UNKNOWN_TO_BROKERS = {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._SSL}
_FORBIDDEN = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}


class AccessRefused(KafkaException):
    """The brokers refuse this process; its text says what to do."""

    def __str__(self) -> str:
        return advice(self.args[0])


def is_access_refused(error: KafkaError) -> bool:
    """Whether a person must do something before this can work."""
    return is_sign_in_refused(error) or error.code() in _FORBIDDEN


def is_sign_in_refused(error: KafkaError) -> bool:
    """Whether a broker does not believe who we are, or we do not believe who it is."""
    return error.code() in _UNKNOWN_TO_BROKERS


def was_access_refused(error: BaseException) -> bool:
    """Whether that is what an exception of the client's is about."""
    said = error.args[0] if isinstance(error, KafkaException) and error.args else None
    return isinstance(said, KafkaError) and is_access_refused(said)


def advice(error: KafkaError) -> str:
    """What is wrong, and what to do about it."""
    options = conf.current()
    who = options.sasl_username or "an unnamed client"
    said = f"{error.name()}: {error.str()}"
    if error.code() == KafkaError._SSL:
        return (
            f"No TLS with the brokers at {options.bootstrap_servers} ({said}). Check {conf.name_of('ssl_ca_location')} "
            f"and {conf.name_of('security_protocol')}."
        )
    if is_sign_in_refused(error):
        return (
            f"The brokers at {options.bootstrap_servers} do not let {who} in ({said}). Check "
            f"{conf.name_of('sasl_username')}, {conf.name_of('sasl_password')} and {conf.name_of('sasl_mechanism')}; "
            "`manage.py create_acls` sets the passwords that the brokers know."
        )
    return (
        f"The brokers refuse {who} a right it needs ({said}). `manage.py create_acls --dry-run` shows what is missing; "
        "run it without --dry-run, as a principal that may alter the cluster, then start this again."
    )
