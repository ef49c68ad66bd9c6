"""uvicorn's HTTP protocol, with fewer writes.

uvicorn hands an answer's head and its body to the transport one by one, and uvloop writes each at once.
Here what is written in one turn of the event loop goes out together: half the system calls, and half the
wake-ups of whoever waits for the answer. Both are a large part of what a delivery costs.
"""

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MAX_HELD: Final = 64 * 1024
"""Bytes held at most: from there on the transport's own flow control has to see them."""


class GatheringProtocol(HttpToolsProtocol):
    """For ``uvicorn.Config(http=…)``."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(_Gathering(transport, self.loop))


class _Gathering(asyncio.Transport):
    """A transport that writes together what is written in one turn of the loop."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self._size = 0
        # Called for every request: without a frame of their own.
        self.is_closing = transport.is_closing  # type: ignore[method-assign]  # as above
        self.get_extra_info = transport.get_extra_info  # type: ignore[method-assign]  # as above
        self.pause_reading = transport.pause_reading  # type: ignore[method-assign]  # as above
        self.resume_reading = transport.resume_reading  # type: ignore[method-assign]  # as above

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(bytes(data))
        self._size += len(data)
        if self._size >= _MAX_HELD:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        self._held.clear()
        self._transport.abort()

    def _flush(self) -> None:
        held, self._held, self._size = self._held, [], 0
        # The client may have gone since: uvloop raises on a closed transport.
        if held and not self._transport.is_closing():
            self._transport.write(b"".join(held))
