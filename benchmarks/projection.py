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
import time
from collections.abc import Iterator

from benchmarks import servers
from benchmarks.machine import cores, on_core
from benchmarks.table import Row, row, show
from consumer.bootstrap.parts import SUBSTRING_KEYS
from consumer.clock import SystemClock
from consumer.projection.base import Batch, Outcome
from consumer.projection.migrate import migrate
from consumer.projection.store import SqlProjectionWriter
from consumer.projection.substring_index import set_substring_index
from consumer.worker.interpret import Interpreter
from schemas.events import Delivery
from schemas.ids import provisional_entry_id
from schemas.samples import OCCURRED_AT, fresh_id, voucher_deleted

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


async def run(address: str, events: int, size: int, duplicates: float) -> Row:
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
    return row(
        f"projection, {address.partition(':')[0]}",
        rate=read / spent,
        p99=slowest * 1000,
        cpu=cpu / read * 1e6,
        note=f"batches of {size}, p99 is the slowest; {spent_reading / read * 1e6:.1f} µs each to interpret",
    )


@contextlib.contextmanager
def projection(*, postgres: bool) -> Iterator[str]:
    """An empty one."""
    with contextlib.ExitStack() as stack:
        if postgres:
            yield stack.enter_context(servers.postgres()).create_database()
        else:
            yield f"sqlite:///{stack.enter_context(servers.folder())}/bin.db"


def main() -> None:
    parser = argparse.ArgumentParser(description="Events per second into a projection")
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--to", metavar="ADDRESS")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=1_000)
    parser.add_argument("--duplicates", type=float, default=0.0, help="share of events delivered twice")
    parser.add_argument("--substring-index", choices=list(SUBSTRING_KEYS), default="off")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        address = options.to or stack.enter_context(projection(postgres=options.postgres))
        migrate(address)
        set_substring_index(address, SUBSTRING_KEYS[options.substring_index])
        stack.enter_context(on_core(cores()[0]))
        show([asyncio.run(run(address, options.events, options.batch, options.duplicates))])


if __name__ == "__main__":
    main()
