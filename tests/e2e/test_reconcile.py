"""The real service beside a fake Voucherify, and beside another binmirror."""

import asyncio
from functools import partial
from typing import Any

from schemas.samples import voucher_deleted
from schemas.times import parse_time
from tests.e2e.test_commands import binmirror
from tests.fake_voucherify.app import APP_ID, APP_TOKEN, FakeVoucherify
from tests.fake_voucherify.bin import FakeEntry
from tests.fake_voucherify.server import serving
from tests.reconcile.kit import entry
from tests.stack import APP_ID as OUR_APP_ID
from tests.stack import APP_TOKEN as OUR_APP_TOKEN
from tests.stack import CREDENTIALS, Service, Stack, bin_of, client_of, deliver, in_bin, running, until

TYPES = ("voucher", "campaign", "product", "sku")


def access(url: str, app_id: str = APP_ID, app_token: str = APP_TOKEN) -> dict[str, str]:
    return {
        "VOUCHERIFY_URL": url,
        "VOUCHERIFY_APP_ID": app_id,
        "VOUCHERIFY_APP_TOKEN": app_token,
        "RECONCILE_EVERY": "1",
    }


def prefixed(settings: dict[str, str]) -> dict[str, str]:
    return {f"BINMIRROR_{name}": value for name, value in settings.items()}


async def completed(service: Service) -> bool:
    """Whether the service says that a full run was completed."""
    async with client_of(service.url, headers=CREDENTIALS) as client:
        worker = (await client.get("/health")).json()["roles"]["worker"]
    return bool(worker["details"]["reconcile"].get("default", {}).get("last_full"))


def shown(one: FakeEntry) -> tuple[str, str, str]:
    return one.id, one.resource_type, one.resource_id


def found(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["id"], row["resource_type"], row["resource_id"]


async def test_the_mirror_becomes_right_by_itself(stack: Stack) -> None:
    """Killed in the middle and started again, the service makes its bin that of Voucherify, ids and all."""
    fake = FakeVoucherify()
    wanted = [entry(number, TYPES[number % 4]) for number in range(250)]
    fake.bin.add(*wanted)
    with serving(fake) as url:
        service = stack.service(**prefixed(access(url)))
        with running(service):
            await service.ready()
            async with client_of(service.url) as client:
                for one in wanted[:40:4]:
                    body = voucher_deleted(
                        voucher_id=one.resource_id,
                        code=one.resource_name,
                        event_id=f"ev_{one.resource_id}",
                        occurred_at=parse_time(one.created_at),
                    )
                    assert (await deliver(client, body)).status_code == 202
            service.kill()
            service.start()
            await service.ready()

            async def agrees() -> bool:
                return {found(row) for row in await bin_of(service.url)} == set(map(shown, wanted))

            await until(agrees, "the mirror holds what Voucherify's bin holds", pause=0.3)
            await until(partial(completed, service), "a full run is completed", pause=0.3)
            gone = wanted.pop(7)
            fake.bin.remove(gone.id)
            done = await asyncio.to_thread(
                partial(binmirror, service, "reconcile", "--full", "--json", **access(url))
            )
            assert '"vanished": 1' in done.stdout, done.stderr
            await until(agrees, "what is gone is gone here too", pause=0.3)
            assert service.stop() == 0


async def test_another_binmirror_is_a_peer(sqlite_stack: Stack) -> None:
    """The bin of one binmirror can be read by another, provisional ids and all."""
    first = sqlite_stack.service()
    folder = sqlite_stack.folder / "second"
    folder.mkdir()
    peer = {**access(first.url, OUR_APP_ID, OUR_APP_TOKEN), "RECONCILE_EVERY": "0"}
    peer["RECONCILE_FULL_EVERY"] = "0"
    second = Stack(
        "second",
        folder,
        {
            "BINMIRROR_EVENT_LOG": f"sqlite:///{folder}/log.db",
            "BINMIRROR_PROJECTION": f"sqlite:///{folder}/bin.db",
        },
    ).service(**prefixed(peer))
    vouchers = [f"v_{number:03}" for number in range(130)]
    with running(first, second):
        await first.ready()
        await second.ready()
        async with client_of(first.url) as client:
            for voucher_id in vouchers:
                await deliver(client, voucher_deleted(voucher_id=voucher_id, event_id=f"ev_{voucher_id}"))
        original = await in_bin(first.url, vouchers)
        done = await asyncio.to_thread(partial(binmirror, second, "reconcile", "--full", **peer))
        assert done.returncode == 0, done.stderr
        assert sorted(map(found, await in_bin(second.url, vouchers))) == sorted(map(found, original))
        again = await asyncio.to_thread(partial(binmirror, second, "reconcile", "--report", **peer))
        assert again.returncode == 0, again.stdout
