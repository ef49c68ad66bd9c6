"""What a caller's credentials cost, on the path of every request to the API.

    python -m benchmarks.authenticate

Each way is timed in one process, without HTTP, with the ten headers that a client sends. Credentials are
known to the process; every two seconds one look-up in SQLite asks again, which is timed too.
"""

import argparse
import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

from starlette.datastructures import Headers

from benchmarks.servers import folder
from benchmarks.table import Row, row, show
from consumer.clock import SystemClock
from consumer.ops.keys import KeyAdmin
from consumer.projection.connections import OwnConnection
from consumer.projection.control import SqlAudit
from consumer.projection.keys import SqlKeyStore
from consumer.projection.read_pool import ReadPool
from consumer.types import READ_PERMISSIONS, Project
from consumer.web.auth import Credentials
from consumer.web.issued_keys import IssuedKeys
from tests.unit.keykit import keyed

_OTHERS = {
    "host": "mirror.example.com",
    "user-agent": "checkout/1.0",
    "accept": "application/json",
    "accept-encoding": "gzip, deflate",
    "connection": "keep-alive",
    "x-request-id": "0a1b2c3d",
    "x-forwarded-for": "192.0.2.1",
    "x-forwarded-proto": "https",
}
_PROJECT = Project("default", (), api_app_id="settings-id", api_app_token=b"settings-token")


async def run(place: Path, seconds: float) -> list[Row]:
    address = f"sqlite:///{place}/bin.db"
    pool, connection = ReadPool(address), OwnConnection(address)
    await pool.start()
    try:
        store = SqlKeyStore(connection, pool.read)
        admin = KeyAdmin(store, SqlAudit(connection))
        key, token = await admin.create(
            project="default", name="benchmark", permissions=READ_PERMISSIONS, who="benchmark"
        )
        created = {"x-app-id": key.app_id, "x-app-token": token}
        async with keyed(address) as api:
            bearer = await api.bearer({"X-App-Id": key.app_id, "X-App-Token": token})
        credentials = Credentials([_PROJECT], IssuedKeys(store, SystemClock()))
        settings = {"x-app-id": "settings-id", "x-app-token": "settings-token"}
        return [
            await timed(credentials, "the settings' key", settings, seconds),
            await timed(credentials, "a created key", created, seconds),
            await timed(credentials, "an access token", bearer, seconds),
        ]
    finally:
        await connection.stop()
        await pool.stop()


async def timed(credentials: Credentials, what: str, sent: Mapping[str, str], seconds: float) -> Row:
    """Ask again and again; every thousandth time others get their turn."""
    raw = [(name.lower().encode(), value.encode()) for name, value in {**_OTHERS, **sent}.items()]
    scope = {"type": "http", "headers": raw}
    count, started_cpu, started = 0, time.process_time(), time.perf_counter()
    while time.perf_counter() - started < seconds:
        for _ in range(1000):
            await credentials.authenticate(Headers(scope=scope))
        count += 1000
        await asyncio.sleep(0)
    spent, cpu = time.perf_counter() - started, time.process_time() - started_cpu
    return row(what, rate=count / spent, cpu=1e6 * cpu / count, note="at most 5 µs")


def measure(*, seconds: float) -> list[Row]:
    with folder() as place:
        return asyncio.run(run(place, seconds))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.authenticate")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each of the three")
    show(measure(seconds=parser.parse_args().seconds))


if __name__ == "__main__":
    main()
