"""Writes the log's lines on a thread of its own, so that a reader that hangs does not hang deliveries."""

import threading
from queue import SimpleQueue
from typing import IO, Final

_MOST_WAITING: Final = 16 * 1024 * 1024
"""Bytes held for a stream that takes nothing; what comes beyond is dropped and counted."""


class StreamWriter:
    """Takes pieces of a log and writes them in order. Usable from any thread; never blocks in ``put``.

    A stream that is gone never takes the service down: what it should get is dropped.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._pieces: SimpleQueue[bytes] = SimpleQueue()
        self._waiting = 0
        self._dropped = 0
        self._changed = threading.Condition()
        # A daemon: a stream that hangs must not keep the process from ending.
        threading.Thread(target=self._run, name="log-writer", daemon=True).start()

    def put(self, piece: bytes, lines: int) -> None:
        """Take ``piece``, which holds so many lines with their ends."""
        with self._changed:
            if self._waiting + len(piece) > _MOST_WAITING:
                self._dropped += lines
                return
            self._waiting += len(piece)
        self._pieces.put(piece)

    def drain(self, seconds: float) -> None:
        """Wait until all is written, but no longer than so."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting == 0, seconds)

    def _run(self) -> None:
        while True:
            piece = self._pieces.get()
            self._write(piece)
            with self._changed:
                dropped, self._dropped = self._dropped, 0
            if dropped:
                self._write(b'{"level":"warning","action":"log_lines_dropped","lines":%d}\n' % dropped)
            with self._changed:
                self._waiting -= len(piece)
                self._changed.notify_all()

    def _write(self, piece: bytes) -> None:
        try:
            self._stream.write(piece)
            self._stream.flush()
        except (OSError, ValueError):
            return
