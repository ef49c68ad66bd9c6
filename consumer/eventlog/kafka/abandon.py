"""How to get rid of a producer of aiokafka, whatever state it is in."""

import asyncio
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerClosed

_STOP_SECONDS: Final = 2.0
_DISCONNECT_SECONDS: Final = 1.0
ABANDON_SECONDS: Final = _STOP_SECONDS + 2 * _DISCONNECT_SECONDS
"""How long ``abandon`` takes at most."""


async def abandon(producer: AIOKafkaProducer) -> None:
    """Stop it within ABANDON_SECONDS, raising nothing. What was not acknowledged may still be stored.

    A transaction that is open stays so until its id is taken over, or it times out.
    """
    manager = producer._txn_manager  # noqa: SLF001 - no public way
    if manager._transaction_waiter is None:  # noqa: SLF001 - no public way
        # Without transactions too, it is taken for granted when the sending task fails.
        manager._transaction_waiter = asyncio.get_running_loop().create_future()  # noqa: SLF001 - no public way
    # stop() first waits for every batch; failing them is the only way to have it not wait for ever.
    producer._message_accumulator.fail_all(ProducerClosed())  # noqa: SLF001 - no public way
    unseen = _waiters(producer)
    # Then it waits for every request under way, which fail at once when there is no connection.
    await _disconnect(producer)
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await producer.stop()
    except Exception:  # noqa: BLE001 - whatever its tasks ended with: it was given up already
        await _disconnect(producer)  # what was connected anew meanwhile
    for future in (*unseen, *_waiters(producer)):
        if future.done() and not future.cancelled():
            future.exception()


def _waiters(producer: AIOKafkaProducer) -> "list[asyncio.Future[Any]]":
    """What nobody else looks at; each exception that is unseen would be a traceback in the log."""
    accumulator = producer._message_accumulator  # noqa: SLF001 - no public way
    lanes = (*accumulator._batches.values(), accumulator._pending_batches)  # noqa: SLF001 - no public way
    batches = [batch for lane in lanes for batch in lane]
    waiters = [it for batch in batches for it in (batch.future, batch._drain_waiter)]  # noqa: SLF001 - no public way
    return [*waiters, producer._txn_manager._transaction_waiter]  # noqa: SLF001 - no public way


async def _disconnect(producer: AIOKafkaProducer) -> None:
    try:
        async with asyncio.timeout(_DISCONNECT_SECONDS):
            await producer.client.close()
    except (TimeoutError, KafkaError):
        pass  # sockets that time out
