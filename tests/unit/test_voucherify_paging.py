import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.voucherify.errors import ProtocolError
from consumer.voucherify.paging import Walk, chunks
from schemas.voucherify_bin import BinPage
from tests.fake_voucherify import faults
from tests.fake_voucherify.bin import FIRST, FakeEntry, entry_id, made_up
from tests.unit.voucherify_kit import Kit, ids


def entry(number: int) -> FakeEntry:
    return made_up(entry_id(FIRST + number * 1_000_000))


def answer(*numbers: int, more: bool = True, cursor: str | None = None) -> BinPage:
    return BinPage.model_validate_json(faults.page([entry(n) for n in numbers], more=more, cursor=cursor))


def walk(after: int | None = None, *, strict: bool = True, most: int = 1000) -> Walk:
    return Walk(None if after is None else entry(after).id, strict=strict, max_pages=most)


@pytest.mark.parametrize("strict", [True, False])
async def test_a_page_that_comes_again_is_noticed(at: Kit, strict: bool) -> None:
    """The same page over and over ends with an error, not with time."""
    at.fake.script(faults.repeating(), times=None)
    async with at.client(strict_order=strict) as client:
        with pytest.raises(ProtocolError):
            await ids(client.pages())
    assert len(at.fake.asked) == 2


async def test_a_listing_without_end_is_given_up(at: Kit) -> None:
    """Ever new entries in good order stop at the most pages that a bin can have."""
    at.fake.script(faults.endless(), times=None)
    async with at.client(max_pages=50) as client:
        with pytest.raises(ProtocolError, match="does not end: 50 pages"):
            await ids(client.pages())


async def test_an_empty_answer_is_passed_on_as_such(at: Kit) -> None:
    """200 with an empty list is a page without entries; what to make of it is for the caller to decide."""
    at.fake.bin.fill(500)
    at.fake.script(faults.empty())
    async with at.client() as client:
        assert await ids(client.pages()) == []


@pytest.mark.parametrize("numbers", [(2, 1), (1, 1), (0, 2)])
def test_entries_out_of_order_are_refused(numbers: tuple[int, int]) -> None:
    """Within a page ids must rise, and start behind the cursor."""
    with pytest.raises(ProtocolError, match="not the order asked for"):
        walk(after=0).step(answer(*numbers))


@pytest.mark.parametrize(
    ("numbers", "cursor"),
    [((1, 2), entry(1).id), ((), entry(0).id), ((), "tbe_0"), ((), None)],
)
def test_a_cursor_that_does_not_move_on_is_refused(numbers: tuple[int, ...], cursor: str | None) -> None:
    """A cursor behind the page's end, the old one, an earlier one, or none at all."""
    with pytest.raises(ProtocolError):
        walk(after=0).step(answer(*numbers, cursor=cursor))


def test_a_cursor_ahead_of_the_page_skips_nothing() -> None:
    """The listing goes on behind the last entry seen, whatever further place the answer names."""
    page = walk().step(answer(1, 2, cursor=entry(9).id))
    assert page.resume_id == entry(2).id


def test_an_empty_page_may_point_on() -> None:
    """A page without entries that says where more follow is gone through."""
    walking = walk(after=0)
    page = walking.step(answer(cursor=entry(3).id))
    assert (page.entries, page.last, walking.after_id) == ((), False, entry(3).id)


@given(st.integers(1, 40), st.integers(0, 40))
def test_without_strict_order_every_circle_is_noticed(length: int, lead: int) -> None:
    """Whatever comes before a circle of pages, and however long it is, it ends."""
    walking = walk(strict=False)

    def go() -> None:
        for number in range(lead):
            walking.step(answer(1000 + number))
        for number in range(100 * (length + lead)):
            walking.step(answer(number % length))

    with pytest.raises(ProtocolError, match=r"circles|does not move on"):
        go()


def test_without_strict_order_shown_ids_may_run_otherwise() -> None:
    """A peer that orders by something else than the ids it shows is listed all the same."""
    walking = walk(strict=False)
    assert walking.step(answer(1, 5, 3)).resume_id == entry(3).id
    assert walking.step(answer(4, 2, more=False)).last


@given(st.lists(st.text(min_size=1, max_size=300)))
def test_chunks_lose_nothing(resource_ids: list[str]) -> None:
    """All ids come in order, in portions of a hundred at most and none empty."""
    portions = list(chunks(resource_ids))
    assert [one for portion in portions for one in portion] == resource_ids
    assert all(0 < len(portion) <= 100 for portion in portions)
