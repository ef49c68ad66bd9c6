from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.voucherify.errors import ForbiddenError, ProtocolError, UnauthorizedError, VoucherifyError
from consumer.voucherify.paging import Walk, chunks
from schemas.voucherify_bin import BinPage
from tests.fake_voucherify import faults
from tests.fake_voucherify.bin import FIRST, FakeEntry, entry_id, made_up
from tests.fake_voucherify.faults import Answering
from tests.unit.voucherify_kit import Kit, ids


def entry(number: int) -> FakeEntry:
    return made_up(entry_id(FIRST + number * 1_000_000))


def replaced(one: FakeEntry, **fields: Any) -> FakeEntry:
    return one._replace(**fields)


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


def hollow() -> Answering:
    """Pages without entries that promise more behind ever new places."""
    places = count()
    return lambda _asked, _usual: faults.Reply(200, faults.page([], more=True, cursor=entry(next(places)).id))


@pytest.mark.parametrize("endless", [faults.endless, faults.bottomless, hollow])
async def test_a_listing_without_end_is_found_out(at: Kit, endless: Callable[[], Answering]) -> None:
    """Whether new entries come with every answer or behind every place: a few questions tell."""
    at.fake.script(endless(), times=None)
    async with at.client() as client:
        with pytest.raises(ProtocolError, match=r"does not end: .* nothing was concluded"):
            await client.check_end(entry(7).id)
    assert not at.waits


async def test_one_question_finds_the_end(at: Kit) -> None:
    """Nothing lies behind all ids of a bin, however fast it grows."""
    at.fake.bin.fill(500)
    async with at.client() as client:
        await client.check_end(entry(0).id)
    (asked,) = at.fake.asked
    assert asked.query == "limit=1&order=id&starting_after_id=tbe_ffffffffffffffffff"


async def test_the_end_of_ids_of_another_form(at: Kit) -> None:
    """Ids may be any text: what is listed last in one order and first in the other is the end."""
    at.fake.bin.add(*(replaced(entry(n), id=f"bin-{n}") for n in range(5)), entry(9))
    at.fake.bin.add(replaced(entry(7), id="zzz"))
    async with at.client() as client:
        await client.check_end("bin-3")
        assert len(at.fake.asked) == 4
        await client.check_end("zzz")
        assert len(at.fake.asked) == 5


@pytest.mark.parametrize("status", [400, 404, 500])
async def test_a_refused_question_proves_nothing(at: Kit, status: int) -> None:
    """Who only goes on behind entries that it has is not thought to be without end."""
    at.fake.bin.fill(500)
    at.fake.script(faults.status(status), times=2)
    async with at.client() as client:
        await client.check_end(entry(0).id)


async def test_an_unheard_question_proves_nothing(at: Kit) -> None:
    """Nor who starts from the beginning then, and knows no other order either."""
    at.fake.bin.fill(500)
    first = faults.body(faults.page([next(iter(at.fake.bin))], more=True))
    at.fake.script(first, times=None)
    async with at.client() as client:
        await client.check_end(entry(0).id)
    assert len(at.fake.asked) == 2


@pytest.mark.parametrize(
    ("answering", "error"),
    [
        (faults.status(401), UnauthorizedError),
        (faults.status(403), ForbiddenError),
        (faults.html(), ProtocolError),
    ],
)
async def test_what_ends_every_question_ends_this_one(
    at: Kit, answering: Answering, error: type[VoucherifyError]
) -> None:
    """Wrong credentials and answers that are none stay what they are."""
    at.fake.script(answering, times=None)
    async with at.client() as client:
        with pytest.raises(error):
            await client.check_end(entry(0).id)


async def test_asking_for_resources_has_an_end_too(at: Kit) -> None:
    """Ever new entries of the resource that is asked for are given up after a hundred pages."""
    number = 0

    def answer(_asked: faults.Asked, _usual: object) -> faults.Reply:
        nonlocal number
        number += 1
        again = replaced(entry(number), resource_id="v_1", resource_type="voucher")
        return faults.Reply(200, faults.page([again], more=True))

    at.fake.script(answer, times=None)
    async with at.client() as client:
        with pytest.raises(ProtocolError, match="does not end: 100 pages"):
            await client.find("voucher", ["v_1"])


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
