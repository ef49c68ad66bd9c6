"""Workers that have nothing to do yet, or nothing at all: they wait, say so, and go on by themselves."""

from pathlib import Path
from typing import Any

import pytest

from consumer.projection.migrate import migrate
from schemas.samples import voucher_deleted
from tests.stack import Service, Stack, client_of, deliver, in_bin, running, until


@pytest.mark.postgres
async def test_started_before_migrate(tmp_path: Path, postgres_url: str) -> None:
    """A service started on an empty PostgreSQL names the command, and goes on once somebody ran it."""
    stack = Stack(
        "early",
        tmp_path,
        {
            "BINMIRROR_EVENT_LOG": f"sqlite:///{tmp_path}/log.db",
            "BINMIRROR_PROJECTION": postgres_url,
        },
    )
    service = stack.service()
    with running(service):
        await service.live()
        async with client_of(service.url) as client:
            response = await deliver(client, voucher_deleted(voucher_id="v_1", event_id="evvou_1"))
            assert response.status_code == 202
        await until(lambda: _says(service, 503, "binmirror migrate"), "the worker says what to do")
        migrate(postgres_url)
        await service.ready()
        await in_bin(service.url, ["v_1"])
        assert service.alive()


@pytest.mark.kafka
@pytest.mark.postgres
async def test_more_workers_than_partitions(server_stack: Stack) -> None:
    """A worker that got no partition is ready and says that it is a spare; it takes over when others end."""
    workers = [server_stack.service("worker") for _ in range(4)]
    with running(*workers):
        for worker in workers:
            await worker.ready()

        async def one_is_spare() -> bool:
            return [await _says(worker, 200, "spare") for worker in workers].count(True) == 1

        await until(one_is_spare, "one of four workers on three partitions is a spare")
        (spare,) = [worker for worker in workers if await _says(worker, 200, "spare")]
        for worker in workers:
            if worker is not spare:
                worker.stop()
        await until(lambda: _says(spare, 200, "lag 0"), "the spare has the partitions")


async def _says(service: Service, status: int, words: str) -> bool:
    async with client_of(service.url) as client:
        response = await client.get("/health/ready/worker")
    role: dict[str, Any] = response.json()["roles"]["worker"]
    return response.status_code == status and words in role["summary"]
