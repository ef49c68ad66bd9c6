"""Cursors as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.projection.changes_base import BEGINNING, Cursor
from consumer.web.cursors import (
    MAX_CURSOR,
    BrokenCursorError,
    cursor_of,
    cursor_text,
    event_cursor_of,
    event_cursor_text,
)

NUMBER = st.integers(0, 2**63 - 1)
CURSORS = st.builds(
    Cursor,
    st.text(st.characters(codec="utf-8"), max_size=60),
    st.text(st.characters(codec="utf-8"), max_size=30),
    st.dictionaries(st.integers(0, 2_000), NUMBER, max_size=20),
    st.integers(0, 2_000),
)


@given(cursor=CURSORS)
def test_round_trip(cursor: Cursor) -> None:
    """Any cursor is itself again, and its text needs no escaping in a URL."""
    text = cursor_text(cursor)
    assert cursor_of(text) == cursor
    assert all(letter.isalnum() or letter in "-_" for letter in text)


def test_two_thousand_partitions_fit() -> None:
    """The longest cursors stay within the bound."""
    cursor = Cursor("x" * 249, "1-9f86d081884c7d65", dict.fromkeys(range(2000), 500000000), 1_999)
    assert len(cursor_text(cursor)) <= MAX_CURSOR


@given(cursor=CURSORS, data=st.data())
def test_a_damaged_cursor_is_refused(cursor: Cursor, data: st.DataObject) -> None:
    """A piece that is missing, or a letter that is another, is told."""
    text = cursor_text(cursor)
    place = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("ABCabc019-_~. é\0"))
    for damaged in (text[:place], text[:place] + letter + text[place + 1 :]):
        try:
            assert cursor_of(damaged) == cursor
        except BrokenCursorError:
            continue
        assert damaged == text


@given(text=st.one_of(st.text(), st.from_regex(r"\A1[A-Za-z0-9_-]{0,60}\Z")))
def test_garbage(text: str) -> None:
    """Any text is a cursor or is refused; nothing else happens."""
    try:
        cursor_of(text)
    except BrokenCursorError:
        return


@pytest.mark.parametrize("text", ["", "1", "2AAAA", "beginning", "1" + "A" * MAX_CURSOR])
def test_no_cursors(text: str) -> None:
    """What the service did not make."""
    with pytest.raises(BrokenCursorError):
        cursor_of(text)
    assert cursor_of(cursor_text(BEGINNING)) == BEGINNING


@pytest.mark.parametrize("place", [(0, ""), (1, "e"), (2**62, "é" * 512), (2**63 - 1, "\t")])
def test_places_in_the_event_log(place: tuple[int, str]) -> None:
    """A cursor is the text of its place, and no other text is: neither garbage nor a cursor of changes."""
    text = event_cursor_text(place)
    assert event_cursor_of(text) == place
    foreign = ("", text + "=", text + "A", "A" + text, text[:-1], "é", "e" * 20_000, cursor_text(BEGINNING))
    for other in foreign:
        with pytest.raises(BrokenCursorError):
            event_cursor_of(other)
