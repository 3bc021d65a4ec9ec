"""Plays one card at a time, in a thread of its own."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

from confluent_kafka import KafkaException
from django.db import Error, connection

from shop.kafka_window.cards.acts import ACTS
from shop.kafka_window.cards.practice import Practice, TookTooLong
from shop.operations.overview import outage_words

__all__ = ["ACTS", "play"]
log = logging.getLogger(__name__)
WAITING_MAX = 5
_executor = ThreadPoolExecutor(1, thread_name_prefix="window-cards")
_waiting = 0


async def play(card: str) -> dict[str, str]:
    """Do what the card says; the choice that was right and what the broker said, or an `error` that says what to do."""
    global _waiting
    if _waiting >= WAITING_MAX:
        return {"error": "Others are trying cards now. Try again in a minute."}
    _waiting += 1
    try:
        return await asyncio.get_running_loop().run_in_executor(_executor, _play, card)
    finally:
        _waiting -= 1


def _play(card: str) -> dict[str, str]:
    try:
        with Practice() as practice:
            verdict = ACTS[card](practice)
    except TookTooLong as error:
        return {"error": str(error)}
    except (KafkaException, Error, TimeoutError) as error:
        log.warning("the card %s could not be played", card, exc_info=True)
        return {"error": f"It could not be done: {outage_words.describe(error)}. Try again in a moment."}
    finally:
        connection.close()
    return {"choice": verdict.choice, "sentence": verdict.sentence}
