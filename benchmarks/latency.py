"""From the answer of a delivery until the bin's API lists it: all roles in one process, on SQLite.

    python -m benchmarks.latency --rate 500

While deliveries come at a steady rate, one after the other of them is asked for until the bin has it.
"""

import argparse
import contextlib
import json
import threading
import time
from http.client import HTTPConnection
from urllib.parse import urlencode

from benchmarks.client import load, percentile, signed
from benchmarks.machine import cores, on_core, resident_mb
from benchmarks.servers import CREDENTIALS, SECRET, SERVE, Server, folder, running
from benchmarks.table import Row, row, show

P99_MS = 300
_PATIENCE = 30.0
_PAUSE = 0.004


class Prober(threading.Thread):
    """Asks for the delivery answered last, until it is listed; then for the next one."""

    def __init__(self, server: Server) -> None:
        super().__init__(name="prober", daemon=True)
        self._server = server
        self._wanted: tuple[str, float] | None = None
        self._news = threading.Condition()
        self._ended = False
        self.seconds: list[float] = []
        self.failure: str | None = None

    def answered(self, voucher_id: str) -> None:
        """A delivery was answered just now."""
        with self._news:
            self._wanted = (voucher_id, time.perf_counter())
            self._news.notify()

    def end(self) -> None:
        with self._news:
            self._ended = True
            self._news.notify()
        self.join(_PATIENCE)
        if self.failure is not None:
            raise RuntimeError(self.failure)

    def run(self) -> None:
        connection = HTTPConnection(*self._server.address, timeout=10)
        while True:
            with self._news:
                while self._wanted is None and not self._ended:
                    self._news.wait()
                if self._wanted is None or self._ended:
                    return
                (voucher_id, since), self._wanted = self._wanted, None
            while not _listed(connection, voucher_id):
                if time.perf_counter() - since > _PATIENCE:
                    self.failure = f"{voucher_id} was not listed within {_PATIENCE:g} s"
                    return
                time.sleep(_PAUSE)
            self.seconds.append(time.perf_counter() - since)


def _listed(connection: HTTPConnection, voucher_id: str) -> bool:
    query = urlencode({"filters[resource_id][conditions][$is]": voucher_id})
    connection.request("GET", f"/v1/trash-bin?{query}", headers=CREDENTIALS)
    response = connection.getresponse()
    body = response.read()
    return response.status == 200 and bool(json.loads(body)["data"])


def measure(*, rate: float, seconds: float) -> list[Row]:
    """All roles, SQLite."""
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(folder())
        requests = signed(int(rate * (seconds + 3)), SECRET)
        server = stack.enter_context(running(SERVE, place, {}))
        stack.enter_context(on_core(cores()[1]))
        warm = int(rate * 2)
        load(server.address, requests[:warm], seconds=2, rate=rate)
        prober = Prober(server)
        prober.start()
        answers = load(server.address, requests[warm:], seconds=seconds, rate=rate, answered=prober.answered)
        prober.end()
        memory = resident_mb(server.pid)
    return [
        row(
            f"all in one, answered ({rate:,.0f}/s asked)",
            rate=answers.rate,
            p50=answers.milliseconds(0.50),
            p99=answers.milliseconds(0.99),
            memory=memory,
        ),
        row(
            "all in one, from answer to listed",
            p50=percentile(prober.seconds, 0.50) * 1000,
            p99=percentile(prober.seconds, 0.99) * 1000,
            note=f"p99 < {P99_MS}; {len(prober.seconds)} deliveries asked for",
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="From answered to listed")
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--seconds", type=float, default=15)
    options = parser.parse_args()
    show(measure(rate=options.rate, seconds=options.seconds))


if __name__ == "__main__":
    main()
