import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.eventlog.packing import pack_headers, unpack_headers

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(st.lists(st.tuples(NAMES, st.binary(max_size=300)), max_size=12))
def test_headers_come_back(headers: list[tuple[str, bytes]]) -> None:
    """Any headers survive packing: names, values, order, duplicates."""
    assert unpack_headers(pack_headers(tuple(headers))) == tuple(headers)


@given(st.lists(st.tuples(NAMES, st.binary(max_size=20)), min_size=1, max_size=4), st.data())
def test_damage_is_noticed(headers: list[tuple[str, bytes]], data: st.DataObject) -> None:
    """A blob that was cut or extended is an error, never other headers."""
    blob = pack_headers(tuple(headers))
    cut = data.draw(st.integers(1, len(blob) - 1))
    for damaged in (blob[:cut], blob + b"x"):
        with pytest.raises(ValueError, match="damaged"):
            unpack_headers(damaged)


@pytest.mark.parametrize(
    "headers",
    [(("\ud800", b""),), (("x" * 70_000, b""),), (("x", b""),) * 70_000, (("x" * 40_000, b""),) * 2],
)
def test_absurd_headers(headers: tuple[tuple[str, bytes], ...]) -> None:
    """Headers that cannot be stored are refused before they are."""
    with pytest.raises(ValueError):  # noqa: PT011 - one of several sentences
        pack_headers(headers)
