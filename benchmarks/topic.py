"""The topic of entries: from the answer of a delivery until a subscriber has it, and publishing everything
anew.

    python -m benchmarks.topic --rate 500 --entries 1000000

Latency: all roles in one process, on SQLite, Kafka beside it; the subscriber reads what is committed.
Share: a publisher alone in a process follows what another one takes in.
Everything: a publisher alone in a process, with a projection that holds so many entries; the second time
the topic holds them too.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Final

import psutil
from aiokafka import AIOKafkaConsumer
from pysqlite3 import dbapi2 as sqlite

from benchmarks.client import load, percentile, signed
from benchmarks.machine import cores, on_core, resident_mb
from benchmarks.servers import SECRET, SERVE, Server, folder, kafka_broker, running, until
from benchmarks.table import Row, row, show
from consumer.projection.migrate import migrate
from tests.entries_kit import COMPACTED
from tests.publisher_kit import Publishing
from tests.servers.kafka import KafkaBroker

P99_MS: Final = 500
_PATIENCE: Final = 60.0
_WARM_SECONDS: Final = 2.0
_START_SECONDS: Final = 6.0
"""For a publisher's process to start in."""
_POLL: Final = 0.1
"""As a service looks for changes."""
_TOPIC: Final = "bench-entries"
_FILL: Final = """
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {entries}) INSERT INTO
bin_entries SELECT 'p', 'voucher', 'v_' || lower(hex(randomblob(16))), printf('tbe_%026x', i),
printf('tbe_%026x', i), NULL, 'deleted', 1720000000000000 + i, 'evvou_' || i, 1720000000000000 + i,
'SUMMER-' || i, 'camp_1', NULL, 'evvou_' || i, 1720000000000000 + i, NULL, NULL, 0, i FROM n
"""


class Subscriber(threading.Thread):
    """Notes when each voucher's entry was read."""

    def __init__(self, bootstrap: str) -> None:
        super().__init__(name="subscriber", daemon=True)
        self._servers = bootstrap
        self.read_at: dict[str, float] = {}
        self.reads = threading.Event()
        self.ended = threading.Event()

    def run(self) -> None:
        asyncio.run(self._follow())

    async def _follow(self) -> None:
        consumer = AIOKafkaConsumer(
            _TOPIC,
            bootstrap_servers=self._servers,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        async with consumer:
            while not self.ended.is_set():
                found = await consumer.getmany(timeout_ms=50)
                now = time.perf_counter()
                for records in found.values():
                    for record in records:
                        assert record.key is not None
                        self.read_at.setdefault(record.key.decode().rpartition("/")[2], now)
                self.reads.set()


def measure(*, rate: float, seconds: float) -> list[Row]:
    """From answered to read by a subscriber."""
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(folder())
        broker = stack.enter_context(kafka_broker())
        broker.create_topic(_TOPIC, configs=COMPACTED)
        requests = signed(int(rate * (seconds + 3)), SECRET)
        address = f"kafka://{broker.bootstrap}/{_TOPIC}"
        server = stack.enter_context(running(SERVE, place, {"ENTRIES_TOPIC": address}))
        stack.enter_context(on_core(cores()[1]))
        until(lambda: _publishes(server), "it publishes")
        subscriber = Subscriber(broker.bootstrap)
        subscriber.start()
        assert subscriber.reads.wait(_PATIENCE)
        warm = int(rate * 2)
        load(server.address, requests[:warm], seconds=2, rate=rate)
        answered: dict[str, float] = {}
        cpu = server.cpu
        answers = load(
            server.address,
            requests[warm:],
            seconds=seconds,
            rate=rate,
            answered=lambda voucher_id: answered.__setitem__(voucher_id, time.perf_counter()),
        )
        until(
            lambda: answered.keys() <= subscriber.read_at.keys(), "all are in the topic", patience=_PATIENCE
        )
        used, memory = server.cpu - cpu, resident_mb(server.pid)
        subscriber.ended.set()
        subscriber.join(_PATIENCE)
    waited = [subscriber.read_at[voucher_id] - since for voucher_id, since in answered.items()]
    return [
        row(
            f"all in one with the topic, answered ({rate:,.0f}/s asked)",
            rate=answers.rate,
            p50=answers.milliseconds(0.50),
            p99=answers.milliseconds(0.99),
            cpu=used / len(answers.seconds) * 1e6,
            memory=memory,
        ),
        row(
            "all in one, from answer to a subscriber",
            p50=percentile(waited, 0.50) * 1000,
            p99=percentile(waited, 0.99) * 1000,
            note=f"p99 < {P99_MS}; all {len(waited)} deliveries",
        ),
    ]


def measure_share(*, rate: float, seconds: float) -> Row:
    """What publishing takes, alone in a process beside one that does all the rest."""
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(folder())
        broker = stack.enter_context(kafka_broker())
        broker.create_topic(_TOPIC, configs=COMPACTED)
        lasting = seconds + _WARM_SECONDS + _START_SECONDS
        requests = signed(int(rate * (lasting + 1)), SECRET)
        server = stack.enter_context(running(SERVE, place, {}))
        stack.enter_context(on_core(cores()[1]))
        until(lambda: server.get("/health/ready")[0] == HTTPStatus.OK, "it is ready")
        pool = stack.enter_context(ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")))
        share = pool.submit(_follow, broker.bootstrap, f"sqlite:///{place}/bin.db", seconds)
        load(server.address, requests, seconds=lasting, rate=rate)
        used, records = share.result()
    return row(
        f"the publisher alone, following {records / seconds:,.0f}/s",
        rate=records / seconds,
        cpu=used / records * 1e6,
        note=f"{used / seconds:.1%} of a core",
    )


def _follow(bootstrap: str, address: str, seconds: float) -> tuple[float, int]:
    return asyncio.run(_follow_for(bootstrap, address, seconds))


async def _follow_for(bootstrap: str, address: str, seconds: float) -> tuple[float, int]:
    """Seconds of CPU, and records published meanwhile."""
    publishing = Publishing(_broker_at(bootstrap), _TOPIC, address, poll=_POLL)
    publishing.start()
    while publishing.details["doing"] != "publishing":  # noqa: ASYNC110 - what it does has no event
        await asyncio.sleep(0.05)
    await asyncio.sleep(_WARM_SECONDS)
    me = psutil.Process()
    busy, before = sum(me.cpu_times()[:2]), publishing.details["records_published"]
    await asyncio.sleep(seconds)
    used = sum(me.cpu_times()[:2]) - busy
    records = publishing.details["records_published"] - before
    await publishing.stop()
    return used, records


def _broker_at(bootstrap: str) -> KafkaBroker:
    return KafkaBroker(Path("/nonexistent"), port=int(bootstrap.rpartition(":")[2]))


def _publishes(server: Server) -> bool:
    status, body = server.get("/health")
    roles = json.loads(body)["roles"] if status else {}
    return bool(roles and roles["worker"]["details"]["entries_topic"]["doing"] == "publishing")


def measure_everything(*, entries: int) -> list[Row]:
    """All entries into an empty topic, then again, with their keys read first."""
    with folder() as place, kafka_broker() as broker:
        broker.create_topic(_TOPIC, configs=COMPACTED)
        address = f"sqlite:///{place}/bin.db"
        migrate(address)
        _fill(place / "bin.db", entries)
        rows = []
        for what in ("into an empty topic", "again"):
            with (
                ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool,
                on_core(cores()[0]),
            ):
                seconds, memory, cpu = pool.submit(_everything, broker.bootstrap, address).result()
            rows.append(
                row(
                    f"{entries:,} entries published, {what}",
                    rate=entries / seconds,
                    cpu=cpu / entries * 1e6,
                    memory=memory,
                    note=f"{seconds:.1f} s",
                )
            )
            with contextlib.closing(sqlite.connect(str(place / "bin.db"))) as connection:
                connection.execute("DELETE FROM entries_topics")
                connection.commit()
    return rows


def _fill(path: Path, entries: int) -> None:
    with contextlib.closing(sqlite.connect(str(path), isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute(_FILL.format(entries=entries))
        connection.execute(
            "INSERT INTO checkpoints (consumer, generation, log_id, log_partition, next_offset, epoch, "
            "updated_at) VALUES ('projection', 1, 'log', 0, ?, 1, 0)",
            (entries,),
        )
        connection.execute("INSERT INTO generations VALUES ('projection', 1, 'bench', 0)")
        connection.execute("COMMIT")


def _everything(bootstrap: str, address: str) -> tuple[float, float, float]:
    return asyncio.run(_publish(bootstrap, address))


async def _publish(bootstrap: str, address: str) -> tuple[float, float, float]:
    """Seconds, resident megabytes at most, seconds of CPU."""
    me, began, most = psutil.Process(), time.perf_counter(), 0.0
    busy = sum(me.cpu_times()[:2])
    publishing = Publishing(_broker_at(bootstrap), _TOPIC, address)
    publishing.start()
    while publishing.details["doing"] != "publishing":
        most = max(most, me.memory_info().rss / 1_000_000)
        await asyncio.sleep(0.05)
    seconds, used = time.perf_counter() - began, sum(me.cpu_times()[:2]) - busy
    await publishing.stop()
    return seconds, most, used


def main() -> None:
    parser = argparse.ArgumentParser(description="The topic of entries")
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--entries", type=int, default=100_000)
    options = parser.parse_args()
    show(
        [
            *measure(rate=options.rate, seconds=options.seconds),
            measure_share(rate=options.rate, seconds=options.seconds),
            *measure_everything(entries=options.entries),
        ]
    )


if __name__ == "__main__":
    main()
