"""A mirror with one voucher in its bin, and Voucherify's bin beside it: for tests of deleting for good."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copy
from typing import Final, NamedTuple

import httpx

from consumer.eventlog.base import Producer
from consumer.ops.purge import Deletes, Purge
from consumer.projection.base import EventQuery
from consumer.projection.migrate import migrate
from consumer.types import Project
from consumer.voucherify.client import VoucherifyClient
from schemas.samples import voucher_deleted
from schemas.trash_bin import BinQuery
from tests.fake_voucherify.app import APP_ID, APP_TOKEN, FakeVoucherify
from tests.fake_voucherify.bin import FakeEntry
from tests.fake_voucherify.server import Slot, serving
from tests.manual_clock import ManualClock
from tests.unit.webkit import CREDENTIALS, PROJECT, Web
from tests.worker_kit import Mirror, eventually

REAL_ID: Final = "tbe_0eb6515f758ae37126"
IN_VOUCHERIFYS_BIN: Final = FakeEntry(REAL_ID, "2024-05-07T09:15:13.218Z", "v_1")
LONG_AGO: Final = 1_715_073_313_218_000
SHOP: Final = Project("shop", webhook_secrets=(b"x",), api_app_id="shop-id", api_app_token=b"shop-token")


@dataclass
class Scene:
    """A mirror with one voucher in its bin, and what stands around it."""

    mirror: Mirror
    fake: FakeVoucherify
    client: VoucherifyClient

    def web(self, mode: Deletes = "forward", producer: Producer | None = None) -> Web:
        purge = Purge(
            mode,
            reader=self.mirror.reader,
            producer=producer or self.mirror.producer,
            clients={"default": self.client},
            clock=self.mirror.clock,
        )
        return Web(reader=self.mirror.reader, purge=purge, projects={"default": PROJECT, "shop": SHOP})

    async def entry_id(self) -> str:
        """What the API shows."""
        (entry,) = (await self.mirror.reader.list_bin("default", BinQuery(limit=10))).entries
        return entry.id

    async def is_listed(self) -> bool:
        return bool((await self.mirror.reader.list_bin("default", BinQuery(limit=10))).entries)

    async def purged_events(self) -> int:
        return len(await self.mirror.reader.events(EventQuery(type="binmirror.entry.purged")))


class Place(NamedTuple):
    """A server for fakes, and an empty projection to copy."""

    slot: Slot
    url: str
    projection: Path


@contextmanager
def a_place(folder: Path) -> Iterator[Place]:
    """One for all tests of a module."""
    slot, projection = Slot(FakeVoucherify()), folder / "bin.db"
    migrate(f"sqlite:///{projection}")
    with serving(slot) as url:
        yield Place(slot, url, projection)


@asynccontextmanager
async def a_scene(folder: Path, place: Place, *, just_now: bool = False) -> AsyncIterator[Scene]:
    """A voucher was deleted, long ago or just now; Voucherify has it in its bin."""
    clock = ManualClock()
    fake = place.slot.fake = FakeVoucherify(now=clock.seconds)
    fake.bin.add(IN_VOUCHERIFYS_BIN)
    copy(place.projection, folder / "bin.db")
    mirror = Mirror(folder, f"sqlite:///{folder}/bin.db")
    async with mirror, VoucherifyClient(place.url, APP_ID, APP_TOKEN, clock=clock, log=mirror.log) as client:
        scene = Scene(mirror, fake, client)
        occurred_at = mirror.clock.now() if just_now else LONG_AGO
        await mirror.deliver(voucher_deleted(voucher_id="v_1", occurred_at=occurred_at), project="default")
        await eventually(scene.is_listed)
        yield scene


async def delete(web: Web, entry_id: str, **headers: str) -> httpx.Response:
    async with web.client() as client:
        return await client.delete(f"/v1/trash-bin/{entry_id}", headers=headers or CREDENTIALS)
