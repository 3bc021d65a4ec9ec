"""`python -m devtools.testing.bridge.read_headers SERVERS TOPIC plainly|carefully`: reads the headers of a topic's
first message, many times over, as a program does that knows nothing of names that are no UTF-8, or as the bridge does.
"""

import contextlib
import sys
import uuid

from confluent_kafka import Consumer, Message

from kafka_bridge.wire import message_headers

# Python specialises a call that is made often, and then no longer looks whether an error was left behind.
_OFTEN = 100


def first_message(servers: str, topic: str) -> Message:
    """The first message of a topic."""
    consumer = Consumer(
        {"bootstrap.servers": servers, "group.id": f"{topic}-{uuid.uuid4()}", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    while (message := consumer.poll(1)) is None or message.error():
        pass
    consumer.close()
    return message


def main() -> None:
    """See the module."""
    servers, topic, how = sys.argv[1:]
    message = first_message(servers, topic)
    for _ in range(_OFTEN):
        if how == "carefully":
            print(dict(message_headers.read(message)))
        else:
            with contextlib.suppress(SystemError):
                print(dict(message.headers() or ()))


if __name__ == "__main__":
    main()
