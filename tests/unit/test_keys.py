"""Created keys over the web: what they open, when they stop, and what it costs others."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from shutil import copy

import pytest

from consumer.projection.keys import SqlKeyStore
from consumer.projection.keys_base import Found
from consumer.types import DELETE_PERMISSION_OF, Permission
from consumer.web.auth import FRESH_SECONDS
from consumer.web.issued_keys import IssuedKeys
from schemas.samples import campaign_deleted, voucher_deleted
from tests.manual_clock import ManualClock
from tests.unit.binkit import MORNING, filled
from tests.unit.keykit import SHOP, Keyed, NoKeys, keyed
from tests.unit.webkit import CREDENTIALS, DATA, PROJECT, FailingReader, Web, is_error

FORBIDDEN = json.loads((DATA / "rest" / "trash-bin.403.json").read_text())


@pytest.fixture(scope="module")
def bin_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A voucher and a campaign of one project, a voucher of another."""
    folder = tmp_path_factory.mktemp("keys")
    bodies = [
        ("default", voucher_deleted(code="MINE", voucher_id="v_mine", occurred_at=MORNING)),
        ("default", campaign_deleted(name="Spring", campaign_id="camp_mine", occurred_at=MORNING)),
        ("shop", voucher_deleted(code="THEIRS", voucher_id="v_theirs", occurred_at=MORNING)),
    ]
    filled(folder, bodies)
    return folder / "bin.db"


@pytest.fixture
async def api(bin_file: Path, tmp_path: Path) -> AsyncIterator[Keyed]:
    copy(bin_file, tmp_path / "bin.db")
    async with keyed(f"sqlite:///{tmp_path}/bin.db") as made:
        yield made


async def ids(api: Keyed) -> dict[str, str]:
    """Resource id → entry id."""
    found: dict[str, str] = {}
    for project in (PROJECT, SHOP):
        assert project.api_app_id is not None
        assert project.api_app_token is not None
        headers = {"X-App-Id": project.api_app_id, "X-App-Token": project.api_app_token.decode()}
        page = (await api.web.get("/v1/trash-bin", **headers)).json()
        found |= {entry["resource_id"]: entry["id"] for entry in page["data"]}
    return found


async def delete(api: Keyed, entry_id: str, **headers: str) -> int:
    async with api.web.client() as client:
        response = await client.delete(f"/v1/trash-bin/{entry_id}", headers=headers)
    if response.status_code == 403:
        assert same(response.json(), FORBIDDEN)
    return response.status_code


def same(body: dict[str, object], published: dict[str, object]) -> bool:
    """As published, and with the request's id besides."""
    return {name: value for name, value in body.items() if name != "request_id"} == published


async def test_a_key_opens_its_project_at_once(api: Keyed) -> None:
    """A new key lists its own project's bin from its first request on, and several work side by side."""
    one, two = await api.create(), await api.create(project="shop")
    three = await api.create()
    for headers, expected in ((one, {"MINE", "Spring"}), (two, {"THEIRS"}), (three, {"MINE", "Spring"})):
        page = (await api.web.get("/v1/trash-bin", **headers)).json()
        assert {entry["resource_name"] for entry in page["data"]} == expected


async def test_wrong_credentials(api: Keyed) -> None:
    """A wrong token, another key's, an unknown id, half of a key and a repeated header: 401."""
    one, two = await api.create(), await api.create()
    assert await api.status(**one) == 200
    wrong: list[dict[str, str]] = [
        {},
        {**one, "X-App-Token": two["X-App-Token"]},
        {**one, "X-App-Token": ""},
        {**one, "X-App-Id": one["X-App-Id"].upper()},
        {"X-App-Id": one["X-App-Id"]},
        {"X-App-Token": one["X-App-Token"]},
        {**one, "X-App-Id": "x" * 5000},
        {"X-App-Id": "é", "X-App-Token": "é"},
        {**CREDENTIALS, "X-App-Token": one["X-App-Token"]},
    ]
    for headers in wrong:
        async with api.web.client() as client:
            raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
            response = await client.get("/v1/trash-bin", headers=raw)
        assert is_error(response, 401, "unauthorized")
        assert response.headers["www-authenticate"].startswith("Bearer ")
    async with api.web.client() as client:
        twice = [*one.items(), ("X-App-Token", one["X-App-Token"])]
        assert is_error(await client.get("/v1/trash-bin", headers=twice), 401, "unauthorized")


async def test_a_revoked_key_stops_within_two_seconds(api: Keyed) -> None:
    """A key in use is believed for two seconds, then not any more; one not in use is refused at once."""
    assert FRESH_SECONDS == 2
    used, unused = await api.create(), await api.create()
    assert await api.status(**used) == 200
    await api.revoke(used)
    await api.revoke(unused)
    assert await api.status(**unused) == 401
    api.clock.advance(1.9)
    assert await api.status(**used) == 200
    api.clock.advance(0.1)
    assert await api.status(**used) == 401


@pytest.mark.parametrize("missing", ["vouchers.read", "campaigns.read", "products.read"])
async def test_the_bin_needs_all_three(api: Keyed, missing: Permission) -> None:
    """Without any one of the three permissions to read: 403, as published."""
    every: set[Permission] = {"vouchers.read", "campaigns.read", "products.read", "vouchers.delete"}
    response = await api.web.get("/v1/trash-bin", **await api.create(*(every - {missing})))
    assert is_error(response, 403, "missing_required_permission")
    assert same(response.json(), FORBIDDEN)


async def test_deleting_needs_the_type_s_own(api: Keyed) -> None:
    """An entry is deleted with its own type's permission; with another's it is a 403, and stays."""
    entries = await ids(api)
    vouchers, campaigns = await api.create("vouchers.delete"), await api.create("campaigns.delete")
    reader = await api.create()
    assert await delete(api, entries["v_mine"], **campaigns) == 403
    assert await delete(api, entries["v_mine"], **reader) == 403
    assert await delete(api, entries["camp_mine"], **vouchers) == 403
    assert await delete(api, entries["v_mine"], **vouchers) == 204
    assert await delete(api, entries["camp_mine"], **campaigns) == 204


async def test_deleting_what_is_not_there(api: Keyed) -> None:
    """An unknown id, and another project's: 404 for those who may delete something, 403 for all others."""
    theirs = (await ids(api))["v_theirs"]
    for permission in set(DELETE_PERMISSION_OF.values()):
        headers = await api.create(permission)
        for entry_id in ("tbe_0000000000000000000000", theirs):
            assert await delete(api, entry_id, **headers) == 404
    reader = await api.create()
    assert await delete(api, "tbe_0000000000000000000000", **reader) == 403
    assert await delete(api, theirs, **reader) == 403


async def test_health_is_for_any_key(api: Keyed) -> None:
    """Details of health need a key and no permission of it."""
    assert await api.status("/health", **await api.create("products.delete")) == 200
    assert await api.status("/health") == 401


async def test_a_key_of_a_project_that_is_gone(api: Keyed) -> None:
    """A key of a project that is not configured any more opens nothing."""
    assert await api.status(**await api.create(project="former")) == 401


async def test_last_use_is_noted_off_the_path(api: Keyed) -> None:
    """Uses are noted later, once a minute for each key; wrong tokens and unused keys are no use."""
    used, unused = await api.create(), await api.create()
    wrong = {**unused, "X-App-Token": "wrong"}
    for _ in range(3):
        assert await api.status(**used) == 200
        assert await api.status(**wrong) == 401
    assert (await api.admin.keys())[0].last_used_at is None
    await api.issued.write_notes()
    first, second = await api.admin.keys()
    assert first.last_used_at is not None
    assert second.last_used_at is None
    api.clock.advance(61)
    assert await api.status(**used) == 200
    await api.issued.write_notes()
    assert (await api.admin.keys())[0].last_used_at == first.last_used_at  # by the database: not a minute


async def test_the_audit_knows(api: Keyed) -> None:
    """Creating and revoking leave a line with who, which key and what it may; never its token."""
    headers = await api.create("vouchers.read", name="checkout")
    await api.revoke(headers)
    columns = "SELECT who, action, project, filters, result FROM audit ORDER BY began_at"
    lines = await api.connection.look(
        lambda connection: [tuple(row) for row in connection.exec_driver_sql(columns)]
    )
    assert [(who, action, project, result) for who, action, project, _, result in lines] == [
        ("ann", "keys.create", "default", "done"),
        ("ann", "keys.revoke", "default", "done"),
    ]
    assert json.loads(lines[0][3]) == {
        "app_id": headers["X-App-Id"],
        "name": "checkout",
        "permissions": ["vouchers.read"],
    }
    assert headers["X-App-Token"] not in str(lines)


class SlowStore(NoKeys):
    """A database that answers look-ups when told to, and remembers what it was asked."""

    def __init__(self, store: SqlKeyStore) -> None:
        self._store = store
        self.asked: list[tuple[Collection[str], Collection[bytes]]] = []
        self.was_asked = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def find(self, app_ids: Collection[str], token_digests: Collection[bytes]) -> Found:
        self.asked.append((app_ids, token_digests))
        self.was_asked.set()
        await self.may_answer.wait()
        return await self._store.find(app_ids, token_digests)


async def test_while_the_database_is_away() -> None:
    """The settings' key works all the same, also to see health; a created one is a 503, not a 401."""
    web = Web(reader=FailingReader(RuntimeError()), keys=IssuedKeys(NoKeys(), ManualClock()))
    assert (await web.get("/health", **CREDENTIALS)).status_code == 200
    key = {"X-App-Id": "key_1", "X-App-Token": "x"}
    assert is_error(await web.get("/health", **key), 503, "service_unavailable")
    bearer = {"Authorization": "Bearer x"}
    assert is_error(await web.get("/health", **bearer), 503, "service_unavailable")


async def test_notes_wait_for_the_database(api: Keyed) -> None:
    """That uses cannot be noted harms no request, and they are noted later."""
    issued = IssuedKeys(NoKeys(), api.clock)
    issued.note_use("key_1")
    await issued.write_notes()
    stop = asyncio.Event()
    stop.set()
    await issued.run(stop)
    assert issued._used == {"key_1"}


async def test_look_ups_of_a_moment_share_a_query(api: Keyed) -> None:
    """Many callers at once cost two queries: the first one's, and one for all who came meanwhile."""
    store = SlowStore(SqlKeyStore(api.connection))
    issued = IssuedKeys(store, api.clock)
    headers = await api.create()
    wanted = [headers["X-App-Id"], *(f"key_{n}" for n in range(50)), headers["X-App-Id"]]
    tasks = [asyncio.create_task(issued.key(wanted[0]))]
    await store.was_asked.wait()
    tasks += [asyncio.create_task(issued.key(app_id)) for app_id in wanted]
    tasks[0].cancel()
    await asyncio.sleep(0)
    store.may_answer.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert [result is not None for result in results[1:]] == [True, *([False] * 50), True]
    assert [len(app_ids) for app_ids, _ in store.asked] == [1, 51]
