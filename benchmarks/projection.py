"""How fast the projection takes events: interpret and commit, without the log.

    python -m benchmarks.projection                      SQLite in a temporary folder
    python -m benchmarks.projection --postgres           a PostgreSQL of its own
    python -m benchmarks.projection --to ADDRESS         any other projection (it is migrated first)

Distinct voucher.deleted deliveries of about 2 KB: event ids that grow with time, as Voucherify's do, random
voucher ids and codes. Making them is not timed.
"""

import argparse
import asyncio
import contextlib
import tempfile
import time
from collections.abc import Iterator

from consumer.clock import SystemClock
from consumer.projection.base import Batch, Outcome
from consumer.projection.migrate import migrate
from consumer.projection.store import SqlProjectionWriter
from consumer.worker.interpret import Interpreter
from schemas.events import Delivery
from schemas.ids import provisional_entry_id
from schemas.samples import OCCURRED_AT, fresh_id, voucher_deleted
from tests.servers.postgres import PostgresServer

_LOG = "benchmark"


def deliveries(first: int, number: int, duplicates: float) -> list[Delivery]:
    """Deliveries of distinct events; of every hundred, some a second time, under another delivery id."""
    made = []
    for index in range(first, first + number):
        moment = OCCURRED_AT + index * 1_000
        event_id = provisional_entry_id("", "", str(index), moment, moment).replace("tbe_", "evvou_")
        campaign_id = f"camp_{index % 50}" if index % 2 else None
        voucher_id = fresh_id("v_")
        for _ in range(2 if index % 100 < duplicates * 100 else 1):
            body = voucher_deleted(
                event_id=event_id, voucher_id=voucher_id, campaign_id=campaign_id, occurred_at=moment
            )
            made.append(Delivery("default", "voucherify", None, moment + 50_000, body))
    return made


async def run(address: str, events: int, size: int, duplicates: float) -> None:
    interpret = Interpreter({})
    writer = SqlProjectionWriter(address, interpret=interpret, clock=SystemClock(), migrate=True)
    await writer.start()
    checkpoint = await writer.acquire(_LOG, 0, owner="benchmark", lease=30)
    assert checkpoint is not None
    offset, read, spent, spent_reading, cpu = checkpoint.next_offset, 0, 0.0, 0.0, 0.0
    slowest = 0.0
    while read < events:
        bodies = deliveries(offset, size, duplicates)
        started, started_cpu = time.perf_counter(), time.process_time()
        outcomes: list[Outcome] = [
            interpret(delivery, offset + index) for index, delivery in enumerate(bodies)
        ]
        interpreted = time.perf_counter()
        end = offset + len(bodies)
        await writer.commit(Batch(_LOG, 0, checkpoint.epoch, offset, end, b"digest", outcomes))
        finished = time.perf_counter()
        cpu += time.process_time() - started_cpu
        spent += finished - started
        spent_reading += interpreted - started
        slowest = max(slowest, finished - started)
        offset, read = end, read + len(bodies)
    await writer.stop()
    micros = 1_000_000 / read
    print(
        f"{address.partition(':')[0]:11} {read:8} deliveries in batches of {size}: {read / spent:8,.0f}/s, "
        f"{spent * micros:5.1f} µs each "
        f"({cpu * micros:.1f} CPU here, {spent_reading * micros:.1f} interpreting), "
        f"slowest batch {slowest * 1000:.0f} ms"
    )


@contextlib.contextmanager
def projection(*, postgres: bool) -> Iterator[str]:
    """An empty one."""
    if not postgres:
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/bin.db"
        return
    server = PostgresServer()
    try:
        yield server.create_database()
    finally:
        server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Events per second into a projection")
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--to", metavar="ADDRESS")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=1_000)
    parser.add_argument("--duplicates", type=float, default=0.0, help="share of events delivered twice")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        address = options.to or stack.enter_context(projection(postgres=options.postgres))
        migrate(address)
        asyncio.run(run(address, options.events, options.batch, options.duplicates))


if __name__ == "__main__":
    main()
