"""A follower's copy equals the bin, whatever happens and whenever the follower asks."""

from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from consumer.projection.changes import SqlChanges
from consumer.projection.changes_base import Cursor
from consumer.projection.read_pool import ReadPool
from consumer.projection.rows import held_entry
from consumer.projection.tables import bin_entries
from handlers.changes import Entry, ResourceKey
from tests.projection_kit import Feed, Said, writer
from tests.properties.test_projection import DECISIONS, SAID, clear

STEP = st.one_of(
    st.tuples(st.integers(0, 1), st.lists(st.one_of(SAID, DECISIONS), min_size=1, max_size=4)),
    st.integers(1, 3),  # a follower asks for so many
)


@dataclass
class Follower:
    changes: SqlChanges
    project: str | None
    cursor: Cursor | None = None
    copy: dict[ResourceKey, object] = field(default_factory=dict)

    async def ask(self, limit: int) -> bool:
        page = await self.changes.changes(self.project, self.cursor, limit)
        for change in page.changes:
            if change.entry is None:
                self.copy.pop(change.key, None)
            else:
                self.copy[change.key] = visible(change.entry)
        self.cursor = page.cursor
        return page.caught_up


def visible(entry: Entry) -> object:
    return entry.state, entry.id, entry.fields


def bin_of(connection: Connection) -> dict[ResourceKey, object]:
    entries = [held_entry(row).entry for row in connection.execute(select(bin_entries))]
    return {entry.key: visible(entry) for entry in entries}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, max_size=14))
async def test_a_follower_holds_the_bin(address: str, steps: list[int | tuple[int, list[Said]]]) -> None:
    """Whenever a follower has caught up its copy is the bin: removals, corrections and decisions included."""
    clear(address)
    pool = ReadPool(address)
    side = writer(address)
    await side.start()
    followers = [Follower(SqlChanges(pool), None), Follower(SqlChanges(pool), "p")]
    for step in [*steps, 1, 100]:
        if not isinstance(step, int):
            feed = await Feed.of(side, partition=step[0])
            await feed.push(*step[1])
            continue
        for follower in followers:
            if await follower.ask(step):
                assert follower.copy == await pool.read(bin_of)
    assert all([await follower.ask(100) for follower in followers])
    await side.stop()
    await pool.stop()
