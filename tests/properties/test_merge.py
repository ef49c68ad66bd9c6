"""The fold gives one entry for one set of changes, however they come."""

from functools import reduce
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from handlers.changes import LISTED_STATES, Change, Entry, Fields, ResourceKey
from handlers.merge import merge
from schemas.events import State
from schemas.ids import provisional_entry_id
from schemas.times import BIN_EPOCH, MAX_MICROS, MIN_MICROS

KEY = ResourceKey("default", "voucher", "v_1")
MOMENTS = st.one_of(st.integers(0, 4), st.integers(MIN_MICROS, MAX_MICROS))
RECEIPTS = st.one_of(st.integers(0, 4), st.integers(0, MAX_MICROS))
TEXTS = st.sampled_from(["a", "b", "c"])


@st.composite
def changes(draw: st.DrawFn) -> list[Change]:
    """Changes of one resource; each event has one content, and few times, so that ties are common."""
    ids = draw(st.lists(st.text("abc", min_size=1, max_size=3), unique=True, min_size=1, max_size=7))
    return [draw(change(event_id)) for event_id in ids]


@st.composite
def change(draw: st.DrawFn, event_id: str) -> Change:
    state: State = draw(st.sampled_from(("deleted", "in_bin", "vanished", "purged")))
    occurred_at, received_at = draw(MOMENTS), draw(RECEIPTS)
    fields = Fields(draw(MOMENTS), draw(TEXTS), draw(st.none() | TEXTS), draw(st.none() | TEXTS))
    return Change(
        key=KEY,
        state=state,
        event_id=event_id,
        occurred_at=occurred_at,
        received_at=received_at,
        evidence_at=max(0, min(occurred_at, received_at)),
        fields=fields if state in LISTED_STATES else None,
        entry_id=draw(st.sampled_from(("tbe_1", "tbe_2"))) if state == "in_bin" else None,
    )


def fold(found: list[Change], entry: Entry | None = None) -> Entry:
    folded = reduce(merge, found, entry)
    assert folded is not None
    return folded


def settled(entry: Entry) -> Entry:
    """The entry without what depends on the order of arrival, by intent."""
    return entry._replace(sort_key="")


@given(changes(), st.data())
def test_order_and_duplicates_do_not_matter(found: list[Change], data: st.DataObject) -> None:
    """Any permutation with any duplicates folds to the same entry."""
    again = data.draw(st.lists(st.sampled_from(found), max_size=8))
    shuffled = data.draw(st.permutations(found + again))
    assert settled(fold(shuffled)) == settled(fold(found))


@given(changes(), st.data())
def test_what_is_known_is_not_folded_twice(found: list[Change], data: st.DataObject) -> None:
    """A change already taken in leaves the very same object."""
    entry = fold(found)
    assert merge(entry, data.draw(st.sampled_from(found))) is entry


@given(changes())
def test_the_sort_key_never_changes(found: list[Change]) -> None:
    """It is the id under which the entry first appeared."""
    first = merge(None, found[0])
    assert first.sort_key == first.id
    assert fold(found[1:], first).sort_key == first.sort_key


@given(changes())
def test_the_parts_of_an_entry(found: list[Change]) -> None:
    """Each part is the one that the set of changes says, computed without folding."""
    entry = fold(found)
    assert entry.key == KEY
    rank = {"deleted": 0, "in_bin": 1, "vanished": 2}
    purges = [each for each in found if each.state == "purged"]
    if purges:
        last = max(purges, key=lambda each: (each.evidence_at, each.event_id))
    else:
        last = max(found, key=lambda each: (each.evidence_at, rank[each.state], each.event_id))
    assert (entry.state, entry.evidence_at) == (last.state, last.evidence_at)
    assert entry.evidence_event_id == last.event_id

    deletions = [each for each in found if each.state == "deleted"]
    observations = [each for each in found if each.state == "in_bin"]
    snapshot = min(deletions, key=lambda each: (each.occurred_at, each.event_id), default=None)
    seen = max(observations, key=lambda each: (each.evidence_at, each.event_id), default=None)
    shown = seen or snapshot
    assert entry.snapshot_event_id == (snapshot.event_id if snapshot else None)
    assert (entry.provisional_id is None) == (snapshot is None)
    assert entry.entry_id == (seen.entry_id if seen else None)
    assert entry.observed_event_id == (seen.event_id if seen else None)
    assert entry.fields == (shown.fields if shown else None)
    if entry.state in LISTED_STATES:
        assert entry.fields is not None


@given(changes(), st.integers(0, MAX_MICROS))
def test_purged_is_final(found: list[Change], moment: int) -> None:
    """Whatever comes before or after, an entry deleted for good through us stays so."""
    purge = Change(KEY, "purged", "zz_purge", moment, moment, moment)
    assert fold([purge, *found]).state == "purged"
    assert fold([*found, purge]).state == "purged"
    assert settled(fold([purge, *found])) == settled(fold([*found, purge]))


@given(changes(), st.sampled_from(("deleted", "in_bin", "vanished")))
def test_later_evidence_wins(found: list[Change], state: State) -> None:
    """Evidence later than all other decides the state, unless it is purged."""
    latest = max(each.evidence_at for each in found) + 1
    late = Change(KEY, state, "zz_late", latest, latest, latest, Fields(0, "n", None, None), "tbe_3")
    expected = "purged" if any(each.state == "purged" for each in found) else state
    assert fold([late, *found]).state == fold([*found, late]).state == expected


@given(st.lists(st.tuples(st.integers(BIN_EPOCH, BIN_EPOCH + 2**51), TEXTS), min_size=2))
def test_provisional_ids_sort_by_time(moments: list[tuple[int, str]]) -> None:
    """Ids of different milliseconds compare as their times do; of one resource and time they are equal."""
    made = sorted(
        (moment // 1000, provisional_entry_id("p", "voucher", resource_id, moment, MAX_MICROS))
        for moment, resource_id in moments
    )
    for (earlier, one), (later, other) in pairwise(made):
        assert earlier == later or one < other
    assert all(len(entry_id) == 30 for _, entry_id in made)


@given(MOMENTS, RECEIPTS, st.text(max_size=5))
def test_provisional_ids_are_total(moment: int, received_at: int, resource_id: str) -> None:
    """Any time makes an id of one shape, the same again for the same resource."""
    made = provisional_entry_id("p", "voucher", resource_id, moment, received_at)
    assert len(made) == 30
    assert made == provisional_entry_id("p", "voucher", resource_id, moment, received_at)
