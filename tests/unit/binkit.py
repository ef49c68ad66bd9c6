"""Fills a real projection for tests that ask it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from consumer.clock import SystemClock
from consumer.projection.base import Batch
from consumer.projection.store import SqlProjectionWriter
from consumer.worker.interpret import Interpreter
from schemas.events import Delivery
from schemas.samples import voucher_deleted
from schemas.times import parse_time

MORNING: Final = parse_time("2024-05-07T09:15:13.218Z")
MINUTE: Final = 60_000_000


def filled(folder: Path, bodies: Sequence[tuple[str, bytes]]) -> str:
    """The address of a new projection in ``folder`` with (project, webhook body) applied in this order."""
    address = f"sqlite:///{folder / 'bin.db'}"
    asyncio.run(_fill(address, bodies))
    return address


async def _fill(address: str, bodies: Sequence[tuple[str, bytes]]) -> None:
    interpret = Interpreter({})
    writer = SqlProjectionWriter(address, interpret=interpret, clock=SystemClock())
    await writer.start()
    checkpoint = await writer.acquire("log", 0, owner="test", lease=None)
    assert checkpoint is not None
    outcomes = [
        interpret(Delivery(project, "voucherify", None, MORNING + MINUTE * 60, body), offset)
        for offset, (project, body) in enumerate(bodies)
    ]
    await writer.commit(Batch("log", 0, checkpoint.epoch, 0, len(outcomes), b"digest", outcomes))
    await writer.stop()


def vouchers(count: int) -> list[tuple[str, bytes]]:
    return [
        (
            "default",
            voucher_deleted(code=f"CODE-{n:02}", voucher_id=f"v_{n:02}", occurred_at=MORNING + MINUTE * n),
        )
        for n in range(count)
    ]
