import pytest

from schemas.ids import derived_event_id, provisional_entry_id, record_key
from schemas.times import BIN_EPOCH, MAX_MICROS, MIN_MICROS, format_time, parse_time


def test_record_keys() -> None:
    """The resource is the key; where there is none, the event."""
    assert record_key("p", "voucher", "v_1", "ev_1") == b"p/voucher/v_1"
    assert record_key("p", None, None, "ev_1") == b"p/event/ev_1"
    assert record_key("p", "voucher", None, "ev_1") == b"p/event/ev_1"


def test_derived_ids_do_not_run_together() -> None:
    """Project, name and body are kept apart in the hash."""
    parts = [("a", "b", b"c"), ("ab", "", b"c"), ("a", "bc", b""), ("", "a", b"bc"), ("a", None, b"bc")]
    assert len({derived_event_id(*each) for each in parts}) == len(parts)


@pytest.mark.parametrize(
    ("moment", "received_at", "counted"),
    [
        (MIN_MICROS, BIN_EPOCH + 10**12, BIN_EPOCH),
        (MAX_MICROS, BIN_EPOCH + 10**12, BIN_EPOCH + 10**12),
        (BIN_EPOCH + 5_000, BIN_EPOCH + 10**12, BIN_EPOCH + 5_000),
        (0, 0, BIN_EPOCH),
        (MAX_MICROS, MAX_MICROS, BIN_EPOCH + ((1 << 42) - 1) * 1000),
    ],
)
def test_provisional_ids_hold_the_clamped_time(moment: int, received_at: int, counted: int) -> None:
    """18 hex digits of time and hash, 8 more of hash; the time between 2016-05-04 and the receipt."""
    entry_id = provisional_entry_id("p", "voucher", "v_1", moment, received_at)
    assert entry_id.startswith("tbe_")
    assert len(entry_id) == 4 + 18 + 8
    assert int(entry_id[4:22], 16) >> 30 == (counted - BIN_EPOCH) // 1000


def test_provisional_ids_sort_among_voucherifys_own() -> None:
    """An id made from the published entry's time lies within a second of the published id."""
    created_at = parse_time("2024-05-07T09:15:13.218Z")
    for offset, before in ((-1_000_000, True), (1_000_000, False)):
        made = provisional_entry_id("p", "voucher", "v_1", created_at + offset, MAX_MICROS)
        assert (made < "tbe_0eb6515f758ae37126") is before


@pytest.mark.parametrize(
    "text", ["2024-05-07T09:15:13.218Z", "0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"]
)
def test_times_are_written_as_they_are_read(text: str) -> None:
    """Milliseconds, UTC, four-digit years, to both ends of what can be read."""
    assert format_time(parse_time(text)) == text


@pytest.mark.parametrize(
    "text", ["", "now", "12:00", "2024-13-01", "9999-12-31T23:59:59-14:00", "1707476400"]
)
def test_what_is_no_time(text: str) -> None:
    """Anything else than a date-time of the years 1 to 9999 is refused."""
    with pytest.raises(ValueError, match=r".+"):
        parse_time(text)
