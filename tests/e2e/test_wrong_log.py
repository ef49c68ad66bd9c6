"""A log that is not the one that was applied: the worker stops and says so; nothing is skipped silently."""

import shutil
from pathlib import Path

import pytest

from schemas.samples import voucher_deleted
from tests.servers.kafka import KafkaBroker
from tests.stack import Service, Stack, client_of, deliver, in_bin, running, until


async def delete_vouchers(service: Service, *voucher_ids: str) -> None:
    async with client_of(service.url) as client:
        for voucher_id in voucher_ids:
            body = voucher_deleted(voucher_id=voucher_id, event_id=f"evvou_{voucher_id}")
            assert (await deliver(client, body)).status_code == 202


async def worker_summary(service: Service) -> str:
    """What the readiness answer says of the worker; empty while it is ready."""
    async with client_of(service.url) as client:
        response = await client.get("/health/ready/worker")
    return "" if response.status_code == 200 else response.text


async def stopped_worker_says(service: Service, *words: str) -> None:
    async def says() -> bool:
        summary = await worker_summary(service)
        return all(word in summary for word in words)

    await until(says, f"the worker says {words}")


def wal_files(path: Path) -> list[Path]:
    return [path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")]


def put_back(source: Path, target: Path) -> None:
    for old in wal_files(target):
        old.unlink(missing_ok=True)
    for copied, original in zip(wal_files(source), wal_files(target), strict=True):
        if copied.exists():
            shutil.copy(copied, original)


async def test_an_old_copy_of_the_log_put_back(sqlite_stack: Stack) -> None:
    """The log is shorter than the checkpoint: the worker stops, the receiver goes on."""
    log, copy = sqlite_stack.folder / "log.db", sqlite_stack.folder / "copy.db"
    service = sqlite_stack.service()
    with running(service):
        await service.ready()
        await delete_vouchers(service, "v_1")
        await in_bin(service.url, ["v_1"])
        assert service.stop() == 0
        put_back(log, copy)
        service.start()
        await service.ready()
        await delete_vouchers(service, "v_2", "v_3")
        await in_bin(service.url, ["v_2", "v_3"])
        assert service.stop() == 0
        put_back(copy, log)
        service.start()
        await service.live()
        await stopped_worker_says(service, "older copy of the log", "Put the right log back")
        await delete_vouchers(service, "v_4")


async def test_an_old_copy_that_has_grown_past_the_checkpoint(sqlite_stack: Stack) -> None:
    """The record applied last is another one: the worker stops though the position exists."""
    log, copy = sqlite_stack.folder / "log.db", sqlite_stack.folder / "copy.db"
    service = sqlite_stack.service()
    receiver = sqlite_stack.service("receiver")
    with running(service):
        await service.ready()
        await delete_vouchers(service, "v_1")
        await in_bin(service.url, ["v_1"])
        assert service.stop() == 0
        put_back(log, copy)
        service.start()
        await service.ready()
        await delete_vouchers(service, "v_2")
        await in_bin(service.url, ["v_2"])
        assert service.stop() == 0
        put_back(copy, log)
        with running(receiver):
            await receiver.ready()
            await delete_vouchers(receiver, "v_5", "v_6", "v_7")
        service.start()
        await service.live()
        await stopped_worker_says(service, "is not the one that was applied")


async def test_a_new_log_in_place_of_the_old(sqlite_stack: Stack) -> None:
    """A fresh log file has another identity: the worker stops instead of starting from its beginning."""
    service = sqlite_stack.service()
    with running(service):
        await service.ready()
        await delete_vouchers(service, "v_1")
        await in_bin(service.url, ["v_1"])
        assert service.stop() == 0
        for old in wal_files(sqlite_stack.folder / "log.db"):
            old.unlink(missing_ok=True)
        service.start()
        await service.live()
        await stopped_worker_says(service, "built from the event log")


@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.parametrize("refilled", [False, True])
async def test_a_topic_made_anew(
    server_stack: Stack, kafka_broker: KafkaBroker, kafka_topic: str, *, refilled: bool
) -> None:
    """A recreated topic under the same name is noticed, empty or refilled."""
    worker, receiver = server_stack.service("worker", "api"), server_stack.service("receiver")
    vouchers = [f"v_{number}" for number in range(12)]
    with running(worker, receiver):
        await worker.ready()
        await receiver.ready()
        await delete_vouchers(receiver, *vouchers)
        await in_bin(worker.url, vouchers)
        assert worker.stop() == 0
        assert receiver.stop() == 0
        kafka_broker.delete_topic(kafka_topic)
        kafka_broker.create_topic(kafka_topic)
        if refilled:
            receiver.start()
            await receiver.ready()
            await delete_vouchers(receiver, *(f"v_new{number}" for number in range(100)))
        worker.start()
        await worker.live()
        words = "is not the one that was applied" if refilled else "topic was made anew"
        await stopped_worker_says(worker, words)
