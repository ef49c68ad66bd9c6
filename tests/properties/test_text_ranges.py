"""The range of texts that start with a text, by code point."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.text import next_text

LETTERS = st.sampled_from("aAz\x01\ud7ff\ue000\ufffd\U00010000\U0010ffff")
TEXT = st.one_of(st.text(LETTERS, max_size=4), st.text(max_size=4))


@given(TEXT, TEXT, TEXT)
def test_a_range_holds_what_starts_with_it(start: str, more: str, other: str) -> None:
    """From a text to its next one are exactly those that start with it, also as UTF-8."""
    end = next_text(start)
    assert end is not None or not start.strip("\U0010ffff")
    for text in (start + more, other):
        within = start <= text and (end is None or text < end)
        assert within == text.startswith(start)
        as_bytes = start.encode() <= text.encode() and (end is None or text.encode() < end.encode())
        assert as_bytes == within
