"""``DELETE /v1/trash-bin/{id}`` when Voucherify or the event log fails, at each step."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest

from consumer.errors import LogUnavailableError, RecordRefusedError
from consumer.ops.purge import Deletes
from tests.fake_voucherify import faults
from tests.fake_voucherify.app import APP_TOKEN
from tests.fake_voucherify.faults import Answering
from tests.unit.deletion_kit import REAL_ID, Place, Scene, a_place, a_scene, delete
from tests.unit.webkit import FailingProducer, is_error


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


FAILURES: Final[list[tuple[str, Answering, int, str | None]]] = [
    ("wrong credentials", faults.status(401), 502, None),
    ("missing permission", faults.status(403), 403, None),
    ("rate limit", faults.status(429, {"Retry-After": "77"}), 429, "77"),
    ("server error", faults.status(500), 503, "5"),
    ("overloaded", faults.status(503, {"Retry-After": "33"}), 503, "33"),
    ("cut", faults.cut(), 503, "5"),
    ("html", faults.html(), 502, None),
    ("another server's 404", faults.html(404), 502, None),
    ("refused", faults.status(400), 502, None),
]


@pytest.mark.parametrize("step", ["GET", "DELETE"])
@pytest.mark.parametrize("failure", FAILURES, ids=[failure[0] for failure in FAILURES])
async def test_failure_at_voucherify_is_passed_on(
    scene: Scene, step: str, failure: tuple[str, Answering, int, str | None]
) -> None:
    """Whatever fails there, at either step, nothing changes here, and the request can be repeated."""
    name, answering, status, retry_after = failure
    if name == "cut" and step == "DELETE":
        answering = faults.status(504)
    scene.fake.script(answering, times=None, method=step)
    web, entry_id = scene.web(), await scene.entry_id()
    response = await delete(web, entry_id)
    assert response.status_code == response.json()["code"] == status
    assert response.headers.get("retry-after") == retry_after
    assert response.json()["details"]
    assert APP_TOKEN not in response.text
    assert await scene.is_listed()
    assert await scene.purged_events() == 0
    scene.fake.heal()
    assert (await delete(web, entry_id)).status_code == 204
    assert not await scene.is_listed()


async def test_answer_lost_after_voucherify_has_deleted(scene: Scene) -> None:
    """An attempt whose answer was lost makes the next find nothing: done all the same."""
    deleted = scene.fake.bin.remove

    def lose(_asked: faults.Asked, _usual: object) -> faults.Reply:
        deleted(REAL_ID)
        return faults.Reply(500)

    scene.fake.script(lose, times=1, method="DELETE")
    assert (await delete(scene.web(), await scene.entry_id())).status_code == 204
    assert not await scene.is_listed()


@pytest.mark.parametrize("mode", ["forward", "local"])
async def test_log_away_after_voucherify_said_yes(scene: Scene, mode: Deletes) -> None:
    """503 says how far it came; the repeated request completes it."""
    entry_id = await scene.entry_id()
    response = await delete(scene.web(mode, FailingProducer(LogUnavailableError("no broker"))), entry_id)
    assert is_error(response, 503, "service_unavailable")
    assert response.headers["retry-after"] == "5"
    assert ("It is deleted at Voucherify." in response.json()["details"]) == (mode == "forward")
    assert "repeat the request" in response.json()["details"]
    assert await scene.is_listed()
    assert (await delete(scene.web(mode), entry_id)).status_code == 204
    assert not await scene.is_listed()


async def test_log_refuses(scene: Scene) -> None:
    """A record that the log will never take is our fault."""
    web = scene.web("local", FailingProducer(RecordRefusedError("too large")))
    assert is_error(await delete(web, await scene.entry_id()), 500, "internal_error")
