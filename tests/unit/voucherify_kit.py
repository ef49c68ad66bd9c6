"""A client on a manual clock, connected to a fake Voucherify."""

import io
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from consumer.log import Output, create_log
from consumer.voucherify.client import VoucherifyClient
from consumer.voucherify.paging import Page
from consumer.voucherify.retry_policy import Wait
from tests.fake_voucherify.app import APP_ID, APP_TOKEN, FakeVoucherify
from tests.fake_voucherify.server import Slot, serving
from tests.manual_clock import ManualClock


class Kit:
    """The fake, its address, the clock of both, and what clients said."""

    def __init__(self, fake: FakeVoucherify, url: str, clock: ManualClock) -> None:
        self.fake = fake
        self.url = url
        self.clock = clock
        self.waits: list[Wait] = []
        self._stream = io.BytesIO()
        self._output = Output(self._stream)

    def client(self, app_token: str = APP_TOKEN, url: str | None = None, **options: Any) -> VoucherifyClient:
        return VoucherifyClient(
            self.url if url is None else url,
            APP_ID,
            app_token,
            clock=self.clock,
            log=create_log(self._output, level="debug", console=False),
            on_wait=self.waits.append,
            **options,
        )

    def logged(self) -> str:
        self._output.flush()
        return self._stream.getvalue().decode()


@contextmanager
def kits() -> Iterator[Callable[[], Kit]]:
    """One server; every call puts a new fake into it."""
    slot = Slot(FakeVoucherify())

    def new() -> Kit:
        clock = ManualClock()
        slot.fake = FakeVoucherify(now=clock.seconds)
        return Kit(slot.fake, url, clock)

    with serving(slot) as url:
        yield new


async def ids(pages: AsyncIterator[Page]) -> list[str]:
    """All entries' ids of a listing."""
    return [entry.id async for page in pages for entry in page.entries]
