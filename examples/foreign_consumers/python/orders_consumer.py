"""pip install confluent-kafka, then: BROKERS=… TOPIC=orders.events GROUP=warehouse python orders_consumer.py"""

import json
import os
import signal
import sys

from confluent_kafka import Consumer, KafkaError, KafkaException

options = {
    "bootstrap.servers": os.environ["BROKERS"],
    "group.id": os.environ["GROUP"],
    "group.protocol": "consumer",  # brokers from 4.0; "classic" has assignors that all members must share
    "auto.offset.reset": "earliest",
    "enable.auto.commit": False,
}
consumer = Consumer(options)
had: set[str] = set()  # yours: a table, written in the transaction of what you do
stopped: list[bool] = []
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: stopped.append(True))
consumer.subscribe([os.environ["TOPIC"]])
while not stopped:
    message = consumer.poll(1.0)
    if message is None:
        continue
    if error := message.error():
        if error.fatal() or error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise KafkaException(error)
        continue
    try:
        headers = {name: (value or b"").decode() for name, value in message.headers() or []}
        event_id, event_type = headers["ce_id"], headers["ce_type"]
        order = json.loads(message.value() or b"")["order_id"]
        if event_id not in had:
            print(event_type, order, event_id, flush=True)
        had.add(event_id)
    except (KeyError, TypeError, ValueError) as malformed:  # tell a person; never stop at one message
        print(f"skipped {message.partition()}/{message.offset()}: {malformed!r}", file=sys.stderr, flush=True)
    consumer.commit()  # what was polled, after the work: at least once
consumer.close()
