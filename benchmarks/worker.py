"""Events a second that a worker alone takes from a log into a projection.

    python -m benchmarks.worker --log sqlite --projection sqlite
    python -m benchmarks.worker --log kafka --projection postgres

The log is filled first, with distinct voucher.deleted deliveries. Then a worker starts, alone on one core;
the broker and PostgreSQL run on the other. With neither of them it has both cores, unless ``--one-core``.
What is timed begins when the first events are in the projection.
"""

import argparse
import asyncio
import contextlib
import re
import time
from collections.abc import Mapping
from pathlib import Path

import structlog

from benchmarks.machine import cores, on_core, resident_mb
from benchmarks.projection import deliveries
from benchmarks.servers import SERVE, Server, folder, kafka_broker, postgres, running, until
from benchmarks.table import Row, row, show
from consumer.bootstrap.parts import Parts
from consumer.clock import SystemClock
from consumer.eventlog.base import Producer
from consumer.metrics import Metrics
from consumer.projection.migrate import migrate
from consumer.settings import isolated_settings
from consumer.types import NewRecord
from schemas.events import Delivery
from schemas.ids import record_key
from schemas.reading import read
from schemas.records import webhook_headers

TARGETS = {"sqlite": 20_000, "postgres": 12_000}
_AT_ONCE = 2_000
_PARTITIONS = 6
_SIGNATURE = b"0" * 64
_NEW = re.compile(rb'"action":"batch",.*?"new":(\d+)')


def record(delivery: Delivery) -> NewRecord:
    """What a receiver makes of a delivery, but for the signature."""
    event = read(delivery)
    key = record_key(event.project, event.resource_type, event.resource_id, event.event_id)
    return NewRecord(key, delivery.body, webhook_headers(event, event_name=None, signature=_SIGNATURE))


async def fill(settings: Mapping[str, str], place: Path, events: int) -> None:
    """Append ``events`` distinct deliveries to the log."""
    values = {
        "event_log": f"sqlite:///{place}/log.db",
        "spool": f"{place}/spool-of-the-filler.db",
        **{name.lower(): value for name, value in settings.items()},
    }
    parts = Parts(
        isolated_settings(**values), clock=SystemClock(), metrics=Metrics(), log=structlog.get_logger()
    )
    producer: Producer = parts.producer()[0]
    await producer.start()
    for start in range(0, events, _AT_ONCE):
        bodies = deliveries(start, min(_AT_ONCE, events - start), duplicates=0.0)
        await asyncio.gather(*(producer.append(record(delivery)) for delivery in bodies))
    await producer.stop()


def handled(server: Server) -> int:
    """How many events the worker has taken in, by its own log: asking it would cost its time."""
    return sum(map(int, _NEW.findall(server.log.read_bytes())))


def measure(log: str, projection: str, *, events: int, one_core: bool = False) -> list[Row]:
    """One worker, from one kind of log into one kind of projection."""
    both = log == projection == "sqlite" and not one_core
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(folder())
        settings: dict[str, str] = {}
        if log == "kafka":
            broker = stack.enter_context(kafka_broker())
            broker.create_topic("events", partitions=_PARTITIONS)
            settings["EVENT_LOG"] = f"kafka://{broker.bootstrap}/events"
        if projection == "postgres":
            settings["PROJECTION"] = stack.enter_context(postgres()).create_database()
            migrate(settings["PROJECTION"])
        asyncio.run(fill({k: v for k, v in settings.items() if k == "EVENT_LOG"}, place, events))
        if not both:
            stack.enter_context(on_core(cores()[1]))
        command = (*SERVE, "--role", "worker")
        worker = stack.enter_context(running(command, place, settings, all_cores=both))
        until(lambda: handled(worker) > 0, "the worker has begun", pause=0.02)
        first, cpu, started = handled(worker), worker.cpu, time.perf_counter()
        until(lambda: handled(worker) >= events, "the worker is done", patience=600, pause=0.1)
        seconds, used = time.perf_counter() - started, worker.cpu - cpu
        memory = resident_mb(worker.pid)
    number = events - first
    target = TARGETS[projection]
    return [
        row(
            f"worker, {log} into {projection}" + (", both cores" if both else ""),
            rate=number / seconds,
            cpu=used / number * 1e6,
            memory=memory,
            note=f"≥ {target:,}/s; {events:,} events",
        )
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Events a second")
    parser.add_argument("--log", choices=["sqlite", "kafka"], default="sqlite")
    parser.add_argument("--projection", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--one-core", action="store_true", help="SQLite into SQLite: on one core too")
    options = parser.parse_args()
    show(measure(options.log, options.projection, events=options.events, one_core=options.one_core))


if __name__ == "__main__":
    main()
