"""``DELETE /v1/trash-bin/{id}``: on a real log, worker and projection, and a fake of Voucherify."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from consumer.errors import SettingsError
from consumer.ops.purge import Deletes
from consumer.settings import isolated_settings
from consumer.types import NewRecord
from schemas.ids import record_key
from schemas.own_events import EntryObserved, record_of
from schemas.records import own_headers
from tests.unit.deletion_kit import LONG_AGO, REAL_ID, Place, Scene, a_place, a_scene, delete
from tests.unit.webkit import CREDENTIALS, is_error
from tests.worker_kit import eventually


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Where the scenes play."""
    with a_place(tmp_path_factory.mktemp("place")) as made:
        yield made


@pytest.fixture
async def scene(tmp_path: Path, place: Place) -> AsyncIterator[Scene]:
    """A voucher was deleted; Voucherify has it in its bin."""
    async with a_scene(tmp_path, place) as made:
        yield made


async def test_refused_unless_switched_on(scene: Scene) -> None:
    """By default nothing is deleted, and the answer says what to configure."""
    response = await delete(scene.web("refuse"), await scene.entry_id())
    assert is_error(response, 403, "missing_required_permission")
    assert "BINMIRROR_DELETES=forward" in response.json()["details"]
    assert await scene.is_listed()
    assert scene.fake.asked == []


async def test_deleted_at_voucherify_and_here(scene: Scene) -> None:
    """A provisional id is enough: Voucherify's own is found; the answer comes when the bin shows it."""
    response = await delete(scene.web(), await scene.entry_id())
    assert (response.status_code, response.content) == (204, b"")
    assert scene.fake.deleted == [REAL_ID]
    assert not await scene.is_listed()
    event = await scene.mirror.event(response.headers["binmirror-event-id"])
    assert (event.type, event.resource_id, event.status) == ("binmirror.entry.purged", "v_1", "applied")
    assert event.body is not None
    assert f'"entry_id":"{REAL_ID}","requested_by":"api key app-id"'.encode() in event.body


async def test_again_after_it_is_done(scene: Scene) -> None:
    """A repeated request is answered as the first was, without asking Voucherify."""
    web, entry_id = scene.web(), await scene.entry_id()
    first = await delete(web, entry_id)
    asked = len(scene.fake.asked)
    second = await delete(web, entry_id)
    assert (second.status_code, second.headers["binmirror-event-id"]) == (
        204,
        first.headers["binmirror-event-id"],
    )
    assert len(scene.fake.asked) == asked
    assert await scene.purged_events() == 1


async def test_known_real_id_is_not_looked_up(scene: Scene) -> None:
    """An entry that was observed in Voucherify's bin is deleted by its own id, whichever the client names."""
    own = EntryObserved(
        project="default",
        run_id="run1",
        evidence_at=scene.mirror.clock.now(),
        resource_type="voucher",
        resource_id="v_1",
        entry_id=REAL_ID,
        created_at=LONG_AGO,
        resource_name="CODE",
    )
    provisional = await scene.entry_id()
    told = record_of(own)
    key = record_key("default", "voucher", "v_1", told.event_id)
    headers = own_headers(told.event_id, told.type, "default", told.subject, scene.mirror.clock.now())
    await scene.mirror.producer.append(NewRecord(key, told.body, headers))
    await eventually(lambda: _shows(scene, REAL_ID))
    assert (await delete(scene.web(), provisional)).status_code == 204
    assert [asked.method for asked in scene.fake.asked] == ["DELETE"]


async def _shows(scene: Scene, entry_id: str) -> bool:
    return await scene.entry_id() == entry_id


async def test_gone_at_voucherify_counts_as_done(scene: Scene) -> None:
    """Neither an entry that Voucherify no longer lists nor its 404 keeps the mirror from following."""
    scene.fake.bin.remove(REAL_ID)
    assert (await delete(scene.web(), await scene.entry_id())).status_code == 204
    assert not await scene.is_listed()


async def test_not_in_the_bin_yet(tmp_path: Path, place: Place) -> None:
    """A deletion of this minute that the bin does not show is not taken for gone."""
    async with a_scene(tmp_path, place, just_now=True) as scene:
        scene.fake.bin.remove(REAL_ID)
        response = await delete(scene.web(), await scene.entry_id())
        assert is_error(response, 503, "service_unavailable")
        assert response.headers["retry-after"] == "60"
        assert await scene.is_listed()


async def test_local(scene: Scene) -> None:
    """Without Voucherify, for tests and closed projects."""
    assert (await delete(scene.web("local"), await scene.entry_id())).status_code == 204
    assert not await scene.is_listed()
    assert scene.fake.asked == []


@pytest.mark.parametrize("entry_id", ["tbe_nothing", "%00", "%F0%9F%98%80", "x" * 5000, "a%2Fb", "%ud800"])
@pytest.mark.parametrize("mode", ["forward", "local"])
async def test_unknown_id(scene: Scene, entry_id: str, mode: Deletes) -> None:
    """An id that no entry has, or could have, is a 404 in the house form; Voucherify is not asked."""
    response = await delete(scene.web(mode), entry_id)
    assert is_error(response, 404, "not_found")
    assert scene.fake.asked == []


async def test_the_end_of_a_line_is_part_of_an_id(scene: Scene) -> None:
    """An id with one more is another one."""
    assert is_error(await delete(scene.web("local"), f"{await scene.entry_id()}%0A"), 404, "not_found")
    assert await scene.is_listed()


async def test_404_has_the_published_form(scene: Scene) -> None:
    """The 404 names what was asked for."""
    body = (await delete(scene.web(), "tbe_nothing")).json()
    assert body.pop("request_id").startswith("v-")
    assert body == {
        "code": 404,
        "key": "not_found",
        "message": "Resource not found",
        "details": "Cannot find bin_entry with id tbe_nothing",
        "resource_id": "tbe_nothing",
        "resource_type": "bin_entry",
    }


async def test_credentials_and_projects(scene: Scene) -> None:
    """Without credentials nothing, and with another project's that project's entries only."""
    web, entry_id = scene.web("local"), await scene.entry_id()
    assert is_error(await delete(web, entry_id, **{"X-App-Id": "app-id"}), 401, "unauthorized")
    other = {"X-App-Id": "shop-id", "X-App-Token": "shop-token"}
    assert is_error(await delete(web, entry_id, **other), 404, "not_found")
    assert await scene.is_listed()


async def test_only_delete_is_known_there(scene: Scene) -> None:
    """There is no get-one; the 405 says what there is."""
    response = await scene.web().get(f"/v1/trash-bin/{await scene.entry_id()}", **CREDENTIALS)
    assert is_error(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "DELETE, OPTIONS"


async def test_worker_away(scene: Scene) -> None:
    """The answer does not wait longer than two seconds for a worker that does not work: it is durable."""
    web, entry_id = scene.web("local"), await scene.entry_id()
    await scene.mirror.rest()
    async with asyncio.timeout(10):
        response = await delete(web, entry_id)
    assert response.status_code == 204
    assert await scene.is_listed()
    scene.mirror.work()
    await eventually(lambda: _gone(scene))
    assert (await delete(web, entry_id)).headers["binmirror-event-id"] == response.headers[
        "binmirror-event-id"
    ]


async def _gone(scene: Scene) -> bool:
    return not await scene.is_listed()


async def test_two_requests_at_once(scene: Scene) -> None:
    """Both are done; the entry is purged."""
    web, entry_id = scene.web(), await scene.entry_id()
    answers = await asyncio.gather(*(delete(web, entry_id) for _ in range(3)))
    assert {answer.status_code for answer in answers} == {204}
    assert not await scene.is_listed()


def test_forwarding_needs_credentials() -> None:
    """Where deletes are forwarded, every project needs access to Voucherify; said when the service starts."""
    table = {"webhook_secrets": ["x"], "api_app_id": "id", "api_app_token": "token"}
    access = {"voucherify_url": "api", "voucherify_app_id": "id", "voucherify_app_token": "token"}
    projects = {"one": {**table, **access}, "two": table}
    with pytest.raises(SettingsError, match=r"projects\.two\.voucherify_url: is missing; DELETES=forward"):
        isolated_settings(projects=projects, deletes="forward").require(["api"])
    isolated_settings(projects=projects, deletes="forward").require(["receiver", "worker"])
    isolated_settings(projects=projects, deletes="local").require(["api"])
