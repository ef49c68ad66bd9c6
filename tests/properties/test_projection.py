"""Any duplication, reordering, splitting and restarting of a stream leaves the same projection behind."""

import itertools
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumer.projection.base import EventQuery, EventRow
from consumer.projection.engines import open_engine
from consumer.projection.queries import SqlProjectionReader
from consumer.projection.tables import metadata
from schemas.trash_bin import BinQuery
from tests.projection_kit import Feed, Said, writer

SAID = st.builds(
    Said,
    event_id=st.sampled_from(["e1", "e2", "e3", "e4"]),
    kind=st.sampled_from(["deleted", "deleted", "in_bin", "vanished", "purged", "ignored", "failed"]),
    resource_id=st.sampled_from(["v1", "v2", "v3"]),
    name=st.sampled_from(["A", "B"]),
    occurred=st.integers(0, 3),
    received=st.integers(2, 4),
    delivery_id=st.sampled_from(["d1", "d2"]),
    entry_id=st.sampled_from([None, "tbe_a", "tbe_b"]),
    project=st.just("p"),
    parent=st.just(None),
    user=st.just(None),
    resource_type=st.just("voucher"),
)
DECISIONS = st.sampled_from(
    [
        Said("x1", "discarded", name="e1"),
        Said("x2", "redriven", name="e1"),
        Said("x3", "discarded", name="e2", resource_id="v2"),
        Said("x4", "redriven", name="e3"),
        Said("x5", "discarded", name="never"),
    ]
)


@st.composite
def two_orders(draw: st.DrawFn) -> tuple[list[list[Said]], list[list[Said]]]:
    """The same deliveries twice, each in batches: as drawn, and shuffled with some of them again."""
    said = draw(st.lists(st.one_of(SAID, SAID, DECISIONS), min_size=1, max_size=12))
    again = draw(st.lists(st.sampled_from(said), max_size=6))
    return draw(batches(said)), draw(batches(draw(st.permutations([*said, *again]))))


@st.composite
def batches(draw: st.DrawFn, said: Sequence[Said]) -> list[list[Said]]:
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(said) - 1)), max_size=4)))
    edges = [0, *(cut for cut in cuts if cut < len(said)), len(said)]
    return [list(said[start:end]) for start, end in itertools.pairwise(edges)]


async def leave_behind(
    address: str, reader: SqlProjectionReader, stream: list[list[Said]]
) -> tuple[list[object], list[EventRow], object]:
    """What a stream makes of an empty projection: entries, events and counts, less what may differ."""
    clear(address)
    side = writer(address)
    await side.start()
    for batch in stream:
        feed = await Feed.of(side)  # a new owner for every batch
        await feed.push(*batch)
    await side.stop()
    page = await reader.list_bin("p", BinQuery(limit=100))
    for entry in page.entries:
        found = await reader.entry("p", entry.id)
        assert found is not None
        assert found.id == entry.id  # two entries may claim one id of Voucherify's here
    events = []
    for row in await reader.events(EventQuery(limit=100)):
        whole = await reader.event("p", row.event_id)
        assert whole is not None
        events.append(whole._replace(attempts=0, deliveries=0, partition=0, offset=0))
    entries = sorted((*entry._replace(sort_key=""), entry.id) for entry in page.entries)
    info = await reader.info()
    return list(entries), events, (dict(info.entries), dict(info.events))


def clear(address: str) -> None:
    database = open_engine(address, "write")
    with database.engine.begin() as connection:
        for table in metadata.tables.values():
            connection.execute(table.delete())
    database.engine.dispose()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(orders=two_orders())
async def test_order_and_repetition_do_not_matter(
    address: str, reader: SqlProjectionReader, orders: tuple[list[list[Said]], list[list[Said]]]
) -> None:
    """The bin and the events are the same, however the deliveries and the decisions about them came."""
    one, other = orders
    assert await leave_behind(address, reader, one) == await leave_behind(address, reader, other)
