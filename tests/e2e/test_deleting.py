"""Deleting for good by the real service, on both stacks, with Voucherify's API beside it."""

from collections.abc import Iterator
from typing import NamedTuple

import httpx
import pytest

from schemas.samples import voucher_deleted
from tests.fake_voucherify import faults
from tests.fake_voucherify.app import APP_ID, APP_TOKEN, FakeVoucherify
from tests.fake_voucherify.bin import FakeEntry
from tests.fake_voucherify.server import serving
from tests.servers.kafka import KafkaBroker
from tests.stack import CREDENTIALS, Service, Stack, bin_of, client_of, deliver, in_bin, running, until

REAL_ID = "tbe_0eb6515f758ae37126"


class Voucherify(NamedTuple):
    """The fake, and where it is."""

    fake: FakeVoucherify
    url: str


@pytest.fixture
def voucherify() -> Iterator[Voucherify]:
    """Voucherify, with one voucher in its bin."""
    fake = FakeVoucherify()
    fake.bin.add(FakeEntry(REAL_ID, "2024-05-07T09:15:13.218Z", "v_1"))
    with serving(fake) as url:
        yield Voucherify(fake, url)


def forwarding(stack: Stack, voucherify: Voucherify, *roles: str) -> Service:
    return stack.service(
        *roles,
        BINMIRROR_DELETES="forward",
        BINMIRROR_VOUCHERIFY_URL=voucherify.url,
        BINMIRROR_VOUCHERIFY_APP_ID=APP_ID,
        BINMIRROR_VOUCHERIFY_APP_TOKEN=APP_TOKEN,
        BINMIRROR_RECONCILE_EVERY="0",
        BINMIRROR_RECONCILE_FULL_EVERY="0",
    )


async def one_in_bin(service: Service) -> str:
    async with client_of(service.url) as client:
        body = voucher_deleted(voucher_id="v_1", event_id="evvou_1")
        assert (await deliver(client, body)).status_code == 202
    (entry,) = await in_bin(service.url, ["v_1"])
    identifier: str = entry["id"]
    return identifier


async def delete(service: Service, entry_id: str) -> httpx.Response:
    async with client_of(service.url, headers=CREDENTIALS, timeout=60) as client:
        return await client.delete(f"/v1/trash-bin/{entry_id}")


async def test_deleted_for_good(stack: Stack, voucherify: Voucherify) -> None:
    """Voucherify's failure changes nothing; its yes is followed, once, and outlives a restart."""
    service = forwarding(stack, voucherify)
    with running(service):
        await service.ready()
        entry_id = await one_in_bin(service)
        voucherify.fake.script(faults.status(403), method="DELETE")
        refused = await delete(service, entry_id)
        assert (refused.status_code, refused.json()["key"]) == (403, "missing_required_permission")
        assert len(await bin_of(service.url)) == 1
        done = await delete(service, entry_id)
        assert (done.status_code, done.content) == (204, b"")
        assert voucherify.fake.deleted == [REAL_ID]
        await until_empty(service)
        again = await delete(service, entry_id)
        assert (again.status_code, again.headers["binmirror-event-id"]) == (
            204,
            done.headers["binmirror-event-id"],
        )
        assert (await delete(service, "tbe_unknown")).status_code == 404
        assert service.stop() == 0
        service.start()
        await service.ready()
        assert await bin_of(service.url) == []


async def until_empty(service: Service) -> None:
    async def empty() -> bool:
        return await bin_of(service.url) == []

    await until(empty, "the bin is empty")


@pytest.mark.kafka
@pytest.mark.postgres
async def test_kafka_away_after_voucherify_said_yes(
    server_stack: Stack, kafka_broker: KafkaBroker, voucherify: Voucherify
) -> None:
    """The answer is 503 and nothing is spooled; the client's retry completes it."""
    service = forwarding(server_stack, voucherify)
    with running(service):
        await service.ready()
        entry_id = await one_in_bin(service)
        kafka_broker.freeze()
        try:
            response = await delete(service, entry_id)
            assert response.status_code == 503
            assert response.headers["retry-after"] == "5"
            assert response.json()["details"].startswith("It is deleted at Voucherify.")
            assert voucherify.fake.deleted == [REAL_ID]
            assert b"binmirror_spool_records 0.0" in await metrics_of(service)
        finally:
            kafka_broker.restore()

        async def completed() -> bool:
            return (await delete(service, entry_id)).status_code == 204

        await until(completed, "the retry completes it", pause=0.5)
        await until_empty(service)


async def metrics_of(service: Service) -> bytes:
    async with client_of(service.url) as client:
        return (await client.get("/metrics")).content
