"""Followers of the bin: from a delivery's answer to the reader of a stream, and what idle streams take.

    python -m benchmarks.changes --rate 500

All roles in one process, on SQLite.
"""

import argparse
import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence

from benchmarks.client import Signed, load, percentile, signed
from benchmarks.machine import cores, on_core, resident_mb
from benchmarks.servers import CREDENTIALS, SECRET, SERVE, Server, folder, running, until
from benchmarks.table import Row, row, show

P99_MS = 500
IDLE_MB = 100
_HEARTBEAT = 5
"""Seconds, three times as often as by default: within a short measurement there are some."""
_STREAM = "/mirror/v1/changes/stream?after=now"


class StreamReader(threading.Thread):
    """Reads one stream; notes when each voucher was told of."""

    def __init__(self, server: Server) -> None:
        super().__init__(name="stream", daemon=True)
        self._socket = _connect(server)
        self.told: dict[str, float] = {}

    def run(self) -> None:
        lines = self._socket.makefile("rb")
        for line in lines:
            if line.startswith(b"data: "):
                now = time.perf_counter()
                for change in json.loads(line[6:])["data"]:
                    self.told[change["resource_id"]] = now

    def end(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self.join()
        self._socket.close()


def _connect(server: Server) -> socket.socket:
    connection = socket.create_connection(server.address)
    head = "".join(f"{name}: {value}\r\n" for name, value in CREDENTIALS.items())
    connection.sendall(f"GET {_STREAM} HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
    return connection


def measure(*, rate: float, seconds: float, readers: int) -> list[Row]:
    """All roles, SQLite."""
    with contextlib.ExitStack() as stack:
        settings = {"STREAMS_MAX": str(readers + 10), "STREAM_HEARTBEAT": str(_HEARTBEAT)}
        server = stack.enter_context(running(SERVE, stack.enter_context(folder()), settings))
        stack.enter_context(on_core(cores()[1]))
        requests = signed(int(rate * (seconds + 3)), SECRET)
        warm = int(rate * 2)
        load(server.address, requests[:warm], seconds=2, rate=rate)
        rows = list(_latency(server, requests[warm:], rate, seconds))
        rows += list(_idle(server, readers, seconds))
    return rows


def _latency(server: Server, requests: Sequence[Signed], rate: float, seconds: float) -> Iterator[Row]:
    answered: dict[str, float] = {}

    def note(voucher: str) -> None:
        answered[voucher] = time.perf_counter()

    reader = StreamReader(server)
    reader.start()
    until(lambda: _open(server) == 1, "the stream is open")
    answers = load(
        server.address,
        requests,
        seconds=seconds,
        rate=rate,
        answered=note,
    )
    until(lambda: answered.keys() <= reader.told.keys(), "all are told of")
    reader.end()
    late = [reader.told[voucher] - since for voucher, since in answered.items()]
    yield row(
        f"stream of changes, from answer to told ({rate:,.0f}/s asked)",
        rate=answers.rate,
        p50=percentile(late, 0.50) * 1000,
        p99=percentile(late, 0.99) * 1000,
        note=f"p99 < {P99_MS}; {len(late)} changes",
    )


def _idle(server: Server, readers: int, seconds: float) -> Iterator[Row]:
    before, cpu = resident_mb(server.pid), server.cpu
    time.sleep(seconds)
    quiet = (server.cpu - cpu) / seconds
    connections = [_connect(server) for _ in range(readers)]
    until(lambda: _open(server) >= readers, "all streams are open")
    cpu = server.cpu
    time.sleep(seconds)
    busy = (server.cpu - cpu) / seconds
    memory = resident_mb(server.pid)
    for connection in connections:
        connection.close()
    yield row(
        f"{readers:,} idle streams, added",
        memory=memory - before,
        note=f"RSS < {IDLE_MB}; CPU {busy * 100:.1f} % of a core, without them {quiet * 100:.1f} %",
    )


def _open(server: Server) -> int:
    _, body = server.get("/metrics")
    for line in body.decode().splitlines():
        if line.startswith("binmirror_change_streams "):
            return int(float(line.split()[1]))
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(description="Streams of changes")
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--readers", type=int, default=1000)
    options = parser.parse_args()
    show(measure(rate=options.rate, seconds=options.seconds, readers=options.readers))


if __name__ == "__main__":
    main()
