"""How fast failed events are redriven: told of, handled again, folded, and looked at.

    python -m benchmarks.redrive                      SQLite in a temporary folder
    python -m benchmarks.redrive --postgres           a PostgreSQL of its own, the log in SQLite

The events are voucher.deleted deliveries of about 2 KB that a broken handler failed. Making them is not
timed. The worker is a process of its own, as in service.
"""

import argparse
import asyncio
import contextlib
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.servers import folder, postgres
from consumer.ops.failed_events import FailedEvents, Selection
from consumer.projection.base import EventQuery
from consumer.projection.connections import OwnConnection
from consumer.projection.event_finder import SqlEventFinder
from consumer.projection.migrate import migrate
from consumer.settings import clean_environment
from consumer.worker.limits import HandlerLimit
from tests.worker_kit import Handlers, Mirror, eventually

_AT_ONCE = 1000


async def run(place: Path, address: str, events: int) -> None:
    handlers = Handlers(broken=True)
    limit = HandlerLimit(consecutive=events + 1, share=2.0)
    async with Mirror(place, address, handlers=handlers, limit=limit) as mirror:
        for start in range(0, events, _AT_ONCE):
            await mirror.delete_vouchers(min(_AT_ONCE, events - start), start=start)
        await eventually(lambda: all_failed(mirror, events), patience=600)
        await mirror.rest()
        with worker(place, address):
            await redrive(mirror, address)


async def all_failed(mirror: Mirror, events: int) -> bool:
    return (await mirror.statuses()).get("failed", 0) == events


async def redrive(mirror: Mirror, address: str) -> None:
    connection = OwnConnection(address)
    operation = FailedEvents(
        reader=mirror.reader,
        finder=SqlEventFinder(connection),
        producer=mirror.producer,
        audit=mirror.audit,
        clock=mirror.clock,
    )
    started, started_cpu = time.perf_counter(), time.process_time()
    report = await operation.decide("redrive", Selection(EventQuery(status="failed")), who="benchmark")
    spent, cpu = time.perf_counter() - started, time.process_time() - started_cpu
    await connection.stop()
    kind = address.partition(":")[0]
    became = dict(report.became)
    print(
        f"{kind}: {report.told} redriven, now {became}, in {spent:.1f} s ({cpu:.1f} s CPU of the command, ",
        end="",
    )


@contextlib.contextmanager
def worker(place: Path, address: str) -> Iterator[None]:
    """A real one, with today's handlers."""
    settings = {"EVENT_LOG": f"sqlite:///{place}/log.db", "PROJECTION": address, "PORT": "0"}
    command = [sys.executable, "-m", "consumer", "serve", "--role", "worker"]
    with (place / "worker.log").open("wb") as log:
        process = subprocess.Popen(command, env=clean_environment(settings), stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait()
        print(f"{resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime:.1f} s of the worker)")


def main() -> None:
    parser = argparse.ArgumentParser(description="Time to redrive failed events")
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--events", type=int, default=100_000)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(folder())
        address = f"sqlite:///{place}/bin.db"
        if options.postgres:
            address = stack.enter_context(postgres()).create_database()
        migrate(address)
        asyncio.run(run(place, address, options.events))


if __name__ == "__main__":
    main()
