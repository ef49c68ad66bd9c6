"""Voucherify's own client for Python lists and pages our bin as it does Voucherify's."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest
from voucherify.api.bin_api import BinApi
from voucherify.api_client import ApiClient
from voucherify.configuration import Configuration
from voucherify.exceptions import (
    BadRequestException,
    ForbiddenException,
    NotFoundException,
    UnauthorizedException,
)
from voucherify.models.parameter_filters_list_bin import ParameterFiltersListBin
from voucherify.models.parameter_order_list_bin import ParameterOrderListBin

from consumer.projection.queries import SqlProjectionReader
from consumer.projection.read_pool import ReadPool
from schemas.samples import campaign_deleted
from tests.contract.live import live_service
from tests.unit.binkit import MINUTE, MORNING, filled, vouchers
from tests.unit.keykit import keyed
from tests.unit.webkit import Web

List: TypeAlias = Callable[..., Awaitable[Any]]

VOUCHERS: Final = [f"CODE-{n:02}" for n in range(25)]
CAMPAIGNS: Final = ["Spring 100%", "été 🎟 'quoted', \"twice\" [0]&=+"]
ALL: Final = sorted([*VOUCHERS, *CAMPAIGNS])


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A bin of 25 vouchers and two campaigns."""
    campaigns = [
        ("default", campaign_deleted(name=name, campaign_id=f"camp_{n}", occurred_at=MORNING - MINUTE * n))
        for n, name in enumerate(CAMPAIGNS, 1)
    ]
    return filled(tmp_path_factory.mktemp("bin"), [*vouchers(25), *campaigns])


@pytest.fixture
async def port(address: str) -> AsyncIterator[int]:
    """A server over that bin."""
    reader = SqlProjectionReader(ReadPool(address))
    await reader.start()
    async with Web(reader=reader).serve() as served:
        yield served
    await reader.stop()


def api(port: int, app_id: str = "app-id") -> Any:
    keys = {"X-App-Id": app_id, "X-App-Token": "app-token"}
    return BinApi(ApiClient(Configuration(host=f"http://127.0.0.1:{port}", api_key=keys)))


@pytest.fixture
def list_entries(port: int) -> List:
    """The client's call, on a thread of its own: the server runs on this one."""
    client = api(port)

    async def call(**arguments: Any) -> Any:
        return await asyncio.to_thread(client.list_bin_entries, **arguments)

    return call


def names(page: Any) -> list[str]:
    return [entry.resource_name for entry in page.data]


async def test_default_page(list_entries: List) -> None:
    """The client reads a page with every field."""
    page = await list_entries()
    assert (page.object, page.data_ref, page.total, page.has_more) == ("list", "data", 10, True)
    entry = page.data[2]
    assert entry.id.startswith("tbe_")
    assert entry.created_at.isoformat() == "2024-05-07T09:15:13.218000+00:00"
    assert (entry.resource_type, entry.object) == ("voucher", "voucher")
    assert (entry.resource_id, entry.resource_name) == ("v_00", "CODE-00")
    assert entry.resource_parent_id is None


@pytest.mark.parametrize("order", list(ParameterOrderListBin))
@pytest.mark.parametrize("limit", [1, 9, 27, 100])
async def test_pages(list_entries: List, order: Any, limit: int) -> None:
    """The client pages through the whole bin, each entry once, in either order."""
    found: list[str] = []
    after: str | None = None
    while True:
        page = await list_entries(limit=limit, order=order, starting_after_id=after)
        found += names(page)
        assert page.has_more is (page.more_starting_after is not None)
        if not page.has_more:
            break
        after = page.more_starting_after
    expected = [*reversed(CAMPAIGNS), *VOUCHERS]
    assert found == (expected if order.value == "id" else expected[::-1])


@pytest.mark.parametrize(
    ("key", "conditions", "expected"),
    [
        ("resource_type", {"$is": "campaign"}, CAMPAIGNS),
        ("resource_type", {"$is_not": "campaign"}, VOUCHERS),
        ("resource_type", {"$in": ["campaign", "sku"]}, CAMPAIGNS),
        ("resource_type", {"$not_in": ["voucher"]}, CAMPAIGNS),
        ("resource_type", {"$has_value": ""}, ALL),
        ("resource_type", {"$is_unknown": ""}, []),
        ("resource_type", {"$starts_with": "camp"}, CAMPAIGNS),
        ("resource_type", {"$ends_with": "cher"}, VOUCHERS),
        ("resource_name", {"$is": CAMPAIGNS[1]}, CAMPAIGNS[1:]),
        ("resource_name", {"$is_not": CAMPAIGNS[1]}, [*VOUCHERS, CAMPAIGNS[0]]),
        ("resource_name", {"$in": [CAMPAIGNS[1], "CODE-03", "none"]}, [CAMPAIGNS[1], "CODE-03"]),
        ("resource_name", {"$not_in": VOUCHERS}, CAMPAIGNS),
        ("resource_name", {"$has_value": ""}, ALL),
        ("resource_name", {"$is_unknown": ""}, []),
        ("resource_name", {"$starts_with": "CODE-1"}, VOUCHERS[10:20]),
        ("resource_name", {"$starts_with": "code-1"}, []),
        ("resource_name", {"$ends_with": "4"}, ["CODE-04", "CODE-14", "CODE-24"]),
        ("resource_name", {"$contains": "%"}, CAMPAIGNS[:1]),
        ("resource_name", {"$contains": "_"}, []),
        ("resource_name", {"$not_contain": "-"}, CAMPAIGNS),
        ("resource_id", {"$is": "v_07"}, ["CODE-07"]),
        ("resource_id", {"$in": ["v_07", "v_08"]}, ["CODE-07", "CODE-08"]),
        ("resource_id", {"$starts_with": "v_2", "$ends_with": "3"}, ["CODE-23"]),
        ("resource_id", {"$contains": "amp_"}, CAMPAIGNS),
        ("id", {"$starts_with": "tbe_"}, ALL),
        ("id", {"$is": "tbe_"}, []),
        ("id", {"$not_contain": "tbe_"}, []),
    ],
    ids=str,
)
async def test_filters(
    list_entries: List, key: str, conditions: Mapping[str, Any], expected: list[str]
) -> None:
    """Each key and each operator selects what the client asked for, unset fields notwithstanding."""
    filters = ParameterFiltersListBin.from_dict({key: {"conditions": conditions}})
    assert sorted(names(await list_entries(limit=100, filters=filters))) == sorted(expected)


@pytest.mark.parametrize(("junction", "expected"), [("and", []), ("or", ["CODE-07", *CAMPAIGNS])])
async def test_junction(list_entries: List, junction: str, expected: list[str]) -> None:
    """The junction joins keys."""
    filters = ParameterFiltersListBin.from_dict(
        {
            "junction": junction,
            "resource_id": {"conditions": {"$is": "v_07"}},
            "resource_type": {"conditions": {"$is": "campaign"}},
        }
    )
    assert sorted(names(await list_entries(limit=100, filters=filters))) == sorted(expected)


async def test_filter_by_entry_id(list_entries: List) -> None:
    """An entry is found by the id that a page showed."""
    entry = (await list_entries(limit=5)).data[4]
    filters = ParameterFiltersListBin.from_dict({"id": {"conditions": {"$in": [entry.id]}}})
    assert [each.id for each in (await list_entries(filters=filters)).data] == [entry.id]


async def test_empty_filters(list_entries: List) -> None:
    """Filter objects with nothing in them filter nothing."""
    assert len(names(await list_entries(filters=ParameterFiltersListBin()))) == 10


async def test_errors(port: int) -> None:
    """The client raises its own exceptions, with our bodies inside."""
    with pytest.raises(UnauthorizedException) as unauthorized:
        await asyncio.to_thread(api(port, app_id="someone").list_bin_entries)
    assert '"key":"unauthorized"' in str(unauthorized.value.body)
    with pytest.raises(BadRequestException) as bad:
        await asyncio.to_thread(api(port).list_bin_entries, starting_after_id="\x00")
    assert ".starting_after_id" in str(bad.value.body)


async def test_access_token(address: str) -> None:
    """A client configured with an access token alone works, and is told when the token is worth nothing.

    6.1.1 keeps ``access_token`` and never sends it, so the header is set from it.
    """
    async with keyed(address) as made, made.web.serve() as served:
        key = await made.create()
        token = (await made.bearer(key, "trash-bin"))["Authorization"].removeprefix("Bearer ")
        configuration = Configuration(host=f"http://127.0.0.1:{served}", access_token=token)
        client: Any = ApiClient(configuration)
        with pytest.raises(UnauthorizedException):
            await asyncio.to_thread(BinApi(client).list_bin_entries)
        client.set_default_header("Authorization", f"Bearer {configuration.access_token}")
        page = await asyncio.to_thread(BinApi(client).list_bin_entries, limit=100)
        assert sorted(names(page)) == ALL
        await made.revoke(key)
        made.clock.advance(2)
        with pytest.raises(UnauthorizedException) as ended:
            await asyncio.to_thread(BinApi(client).list_bin_entries)
    assert "invalid_token" in str(ended.value.headers)


async def test_missing_permission(address: str) -> None:
    """A key without the permission raises the client's exception for 403."""
    async with keyed(address) as made, made.web.serve() as served:
        key = await made.create("vouchers.read")
        client = BinApi(ApiClient(Configuration(host=f"http://127.0.0.1:{served}", api_key=key)))
        with pytest.raises(ForbiddenException) as refused:
            await asyncio.to_thread(client.list_bin_entries)
    assert '"key":"missing_required_permission"' in str(refused.value.body)


def test_deletes(tmp_path: Path) -> None:
    """The client deletes entries for good: they are in no list afterwards, and a second time does no harm."""
    with live_service(tmp_path) as service:
        client = api(service.port)
        before = client.list_bin_entries(limit=100).data
        for entry in before[:2]:
            client.delete_bin_entry(entry.id)
            client.delete_bin_entry(entry.id)
            left = [each.id for each in client.list_bin_entries(limit=100).data]
            assert entry.id not in left
        assert left == [entry.id for entry in before[2:]]
        with pytest.raises(NotFoundException) as unknown:
            client.delete_bin_entry("tbe_0eb6515f758ae37126")
    assert '"key":"not_found"' in str(unknown.value.body)
