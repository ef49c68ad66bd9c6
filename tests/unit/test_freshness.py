"""A reader says how fresh the bin has to be, and is told how old it is."""

import asyncio
import io
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.clock import SystemClock
from consumer.log import Output, create_log
from consumer.metrics import Metrics
from consumer.projection.freshness import SqlFreshnessReader
from consumer.projection.freshness_base import Freshness as Projected
from consumer.projection.queries import SqlProjectionReader
from consumer.projection.read_pool import ReadPool
from consumer.projection.store import SqlProjectionWriter
from consumer.web.event_ids import event_of_header, header_of_event
from consumer.web.freshness import Freshness
from tests.projection_kit import LOG, PATIENCE, Feed, Said, eventually, writer
from tests.unit.webkit import CREDENTIALS, Web, is_error

PATH = "/v1/trash-bin"


@dataclass
class Mirror:
    web: Web
    store: SqlProjectionWriter
    feed: Feed

    async def caught_up(self, *, ago: float = 0.0) -> None:
        end_seen = SystemClock().monotonic() - ago
        await self.store.renew(LOG, 0, epoch=self.feed.checkpoint.epoch, lease=None, end_seen=end_seen)


@asynccontextmanager
async def mirror(folder: Path, patience: float) -> AsyncIterator[Mirror]:
    address = f"sqlite:///{folder}/bin.db"
    store = writer(address, clock=SystemClock())
    await store.start()
    pool = ReadPool(address)
    reader = SqlProjectionReader(pool)
    await reader.start()
    metrics, stop, output = Metrics(), asyncio.Event(), Output(io.BytesIO())
    freshness = Freshness(
        SqlFreshnessReader(pool),
        patience=patience,
        clock=SystemClock(),
        metrics=metrics,
        log=create_log(output, level="debug", console=False),
    )
    looking = asyncio.create_task(freshness.run(stop))
    yield Mirror(Web(reader=reader, freshness=freshness, metrics=metrics), store, await Feed.of(store))
    stop.set()
    await looking
    await reader.stop()
    await store.stop()
    output.close()


@pytest.fixture
async def patient(tmp_path: Path) -> AsyncIterator[Mirror]:
    async with mirror(tmp_path, PATIENCE) as made:
        yield made


@pytest.fixture
async def hurried(tmp_path: Path) -> AsyncIterator[Mirror]:
    async with mirror(tmp_path, 0.1) as made:
        yield made


async def test_every_reading_names_its_age(patient: Mirror) -> None:
    """The age is that of the projection, to the millisecond; errors name it too, health has none."""
    never = await patient.web.get(PATH, **CREDENTIALS)
    assert never.headers["binmirror-age"] == "never"
    await patient.caught_up(ago=100)
    fresh = await patient.web.get(PATH, **CREDENTIALS, **{"Binmirror-Max-Age": "200"})
    assert 100 <= float(fresh.headers["binmirror-age"]) < 100 + PATIENCE
    assert "binmirror-age" in (await patient.web.get(PATH)).headers
    assert "binmirror-age" not in (await patient.web.get("/health/live")).headers


class _SetBack:
    """A database whose clock is set back by an hour after the first look, while nobody notes anything."""

    def __init__(self) -> None:
        self.looks = 0

    async def freshness(self, events: Collection[tuple[str, str]]) -> Projected:
        self.looks += 1
        return Projected(100_000_000 if self.looks == 1 else 0, 5_000_000, frozenset(events))


async def test_a_clock_that_is_set_back_makes_nothing_younger() -> None:
    """While nothing new is noted of the log's end the age goes on growing."""
    output, stop, reader = Output(io.BytesIO()), asyncio.Event(), _SetBack()
    freshness = Freshness(
        reader,
        patience=PATIENCE,
        clock=SystemClock(),
        metrics=Metrics(),
        log=create_log(output, level="debug", console=False),
    )
    looking = asyncio.create_task(freshness.run(stop))
    for _ in range(2):
        await freshness.demand("default", [(b"binmirror-min-event", b"e")])
    assert reader.looks >= 2
    name, age = freshness.begin()()
    assert (name, float(age) >= 100) == (b"binmirror-age", True)
    stop.set()
    await looking
    output.close()


async def test_a_clock_that_was_set_back_before_the_start(hurried: Mirror) -> None:
    """What was noted at a moment that has yet to come has no age: the answer is not taken for a fresh one."""
    await hurried.caught_up(ago=-3600)
    asked = await hurried.web.get(PATH, **CREDENTIALS, **{"Binmirror-Max-Age": "30"})
    assert (asked.status_code, asked.headers["binmirror-age"]) == (503, "never")
    await hurried.caught_up()
    asked = await hurried.web.get(PATH, **CREDENTIALS, **{"Binmirror-Max-Age": "30"})
    assert asked.status_code == 200


async def test_waits_for_an_event(patient: Mirror) -> None:
    """The answer comes once the event is there, and shows what it did."""
    headers = {**CREDENTIALS, "Binmirror-Min-Event": "e1"}
    asked = asyncio.create_task(patient.web.get(PATH, **headers))
    await eventually(lambda: _is_waiting(patient))
    await patient.feed.push(Said("e1", project="default"))
    assert [entry["resource_name"] for entry in (await asked).json()["data"]] == ["CODE"]
    assert (await patient.web.get(PATH, **headers)).status_code == 200


async def _is_waiting(asked: Mirror) -> bool:
    found = asked.web.metrics.registry.get_sample_value("binmirror_fresh_waits_total", {"outcome": "fresh"})
    return not found


async def test_waits_for_an_age(patient: Mirror) -> None:
    """The answer comes once the end of the log was seen lately enough."""
    await patient.caught_up(ago=1000)
    asked = asyncio.create_task(patient.web.get(PATH, **CREDENTIALS, **{"Binmirror-Max-Age": "500"}))
    await patient.caught_up(ago=5)
    response = await asked
    assert response.status_code == 200
    assert 5 <= float(response.headers["binmirror-age"]) <= 500


async def test_waits_for_what_is_in_the_log_now(patient: Mirror) -> None:
    """An age of 0 waits until the end of the log is seen after the request came."""
    await patient.caught_up(ago=5)
    asked = asyncio.create_task(patient.web.get(PATH, **CREDENTIALS, **{"Binmirror-Max-Age": "0"}))
    began = SystemClock().monotonic()

    async def answered() -> bool:
        await patient.caught_up()
        return asked.done()

    await eventually(answered)
    response = await asked
    assert response.status_code == 200
    assert float(response.headers["binmirror-age"]) < SystemClock().monotonic() - began + 1


@pytest.mark.parametrize("failed", ["failed", "ignored"])
async def test_any_status_is_there(hurried: Mirror, failed: str) -> None:
    """An event that could not be applied is in the projection as well."""
    await hurried.feed.push(Said("e1", failed, project="default"))
    response = await hurried.web.get(PATH, **CREDENTIALS, **{"Binmirror-Min-Event": "e1"})
    assert response.status_code == 200


async def test_in_vain(hurried: Mirror) -> None:
    """Another project's event, one that is only discarded beforehand, or too old: 503, to be asked again."""
    await hurried.feed.push(Said("e1", project="other"), Said("x", "discarded", name="e2", project="default"))
    await hurried.caught_up(ago=100)
    for demand in (
        {"Binmirror-Min-Event": "e1"},
        {"Binmirror-Min-Event": "e2"},
        {"Binmirror-Max-Age": "99.5"},
        {"Binmirror-Max-Age": "0"},
        {"Binmirror-Min-Event": "x", "Binmirror-Max-Age": "1"},
    ):
        response = await hurried.web.get(PATH, **CREDENTIALS, **demand)
        assert is_error(response, 503, "stale_projection")
        assert response.headers["retry-after"] == "1"
        assert float(response.headers["binmirror-age"]) >= 100


async def test_demands_that_make_no_sense(hurried: Mirror) -> None:
    """400, which names the header; but 401 for whoever is not known."""
    for name, value in (
        ("Binmirror-Min-Event", ""),
        ("Binmirror-Min-Event", "e" * 513),
        ("Binmirror-Min-Event", "%ff"),
        ("Binmirror-Min-Event", "a%00b"),
        ("Binmirror-Max-Age", ""),
        ("Binmirror-Max-Age", "-1"),
        ("Binmirror-Max-Age", "nan"),
        ("Binmirror-Max-Age", "1e9"),
        ("Binmirror-Max-Age", "1" * 10),
    ):
        response = await hurried.web.get(PATH, **CREDENTIALS, **{name: value})
        assert is_error(response, 400, "invalid_header")
        assert name in response.json()["details"]
    async with hurried.web.client() as client:
        twice = [*CREDENTIALS.items(), ("Binmirror-Max-Age", "1"), ("Binmirror-Max-Age", "1")]
        assert is_error(await client.get(PATH, headers=twice), 400, "invalid_header")
    assert is_error(await hurried.web.get(PATH, **{"Binmirror-Min-Event": "e1"}), 401, "unauthorized")


@given(event_id=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=512))
def test_event_ids_survive_a_header(event_id: str) -> None:
    """Whatever an id holds, its header names it, and is one."""
    value = header_of_event(event_id)
    assert all(0x20 < byte < 0x7F for byte in value)
    assert event_of_header(value) == event_id
