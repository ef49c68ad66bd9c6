"""Voucherify's bin in portions: some pages, compared and noted together, while the next ones are read."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Final, NamedTuple

from consumer.clock import Clock
from consumer.voucherify.paging import Page
from schemas.times import MINUTE, Micros
from schemas.voucherify_bin import VoucherifyEntry

PORTION: Final = 10
"""Pages that are compared and noted together."""
_SECONDS: Final = 10.0
"""After so long a portion is compared with the pages that it has: under a rate limit each is dear."""
_ID: Final = re.compile(r"tbe_([0-9a-f]{18})")
OVERLAP: Final[Micros] = 10 * MINUTE
"""How far an incremental run goes back: an entry may become visible after others with greater ids."""


class Group(NamedTuple):
    """A portion."""

    entries: list[VoucherifyEntry]
    resume_id: str | None
    last: bool


def overlapping(position: str | None) -> str | None:
    """A little before ``position``, where that is an id that tells its time."""
    match = _ID.fullmatch(position or "")
    if match is None:
        return position
    earlier = max(0, int(match[1], 16) - ((OVERLAP // 1000) << 30))
    return f"tbe_{earlier:018x}"


async def read_ahead(
    pages: AsyncIterator[Page], saw_page: Callable[[int], None], *, clock: Clock, portion: int
) -> AsyncIterator[Group]:
    """The portions; while one is worked on, the next is read."""
    groups = _groups(pages, saw_page, clock, portion)
    reading = asyncio.create_task(anext(groups, None), name="reconcile-pages")
    try:
        while (group := await reading) is not None:
            reading = asyncio.create_task(anext(groups, None), name="reconcile-pages")
            yield group
    finally:
        reading.cancel()
        await asyncio.wait({reading})
        if not reading.cancelled():
            reading.exception()  # it is not ours to tell: whoever stops listening has a reason


async def _groups(
    pages: AsyncIterator[Page], saw_page: Callable[[int], None], clock: Clock, portion: int
) -> AsyncIterator[Group]:
    entries: list[VoucherifyEntry] = []
    number, began = 0, clock.monotonic()
    async for page in pages:
        entries += page.entries
        number += 1
        saw_page(len(page.entries))
        if page.last or number == portion or clock.monotonic() - began >= _SECONDS:
            yield Group(entries, page.resume_id, page.last)
            entries, number, began = [], 0, clock.monotonic()
