"""Lookups on SQLite and PostgreSQL: what is found of codes and ids, and by which index."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator

import pytest

from consumer.projection.lookups import SqlLookups
from consumer.projection.lookups_base import CodeAsk, Known, ResourceAsk
from consumer.projection.read_pool import ReadPool
from handlers.verdicts import decide
from schemas.text import folded
from tests.lookup_kit import at, campaign_binned, deleted, gone, observed, seen, tell


@pytest.fixture
async def lookups(address: str) -> AsyncIterator[SqlLookups]:
    """Lookups on an empty projection."""
    pool = ReadPool(address)
    await pool.start()
    yield SqlLookups(pool)
    await pool.stop()


async def verdict(lookups: SqlLookups, ask: CodeAsk | ResourceAsk | str, project: str = "p") -> str:
    asked = CodeAsk(ask) if isinstance(ask, str) else ask
    (known,) = await lookups.look_up(project, [asked])
    return decide(known.bearers, known.campaigns, asked.campaign_id).verdict


def ids(known: Known) -> list[str]:
    return [bearer.resource_id for bearer in known.bearers]


async def test_the_life_of_a_code(address: str, lookups: SqlLookups) -> None:
    """From the first deletion to the next voucher's: each verdict in its turn."""
    assert await verdict(lookups, "SUMMER") == "unknown"
    steps = [
        (seen("v_1", "SUMMER", 0), "unknown"),
        (deleted("v_1", "SUMMER", 10), "deleted"),
        (observed("voucher", "v_1", 20, name="SUMMER", created=10), "dead"),
        (gone("vanished", "v_1", 30), "reusable"),
        (seen("v_2", "SUMMER", 40), "reused"),
        (seen("v_2", "SUMMER", 41, event_type="voucher.updated"), "reused"),
        (deleted("v_2", "SUMMER", 50), "deleted"),
        (gone("purged", "v_2", 60), "reusable"),
    ]
    for delivery, expected in steps:
        await tell(address, [delivery])
        assert await verdict(lookups, "SUMMER") == expected
    (known,) = await lookups.look_up("p", [CodeAsk("SUMMER")])
    assert ids(known) == ["v_2", "v_1"]
    assert [bearer.deleted_at for bearer in known.bearers] == [at(50), at(10)]
    assert known.bearers[0].seen is not None
    assert known.bearers[0].seen.at == at(41)


async def test_order_of_arrival_is_nothing(address: str, lookups: SqlLookups) -> None:
    """The same story told in any order ends with the same bearers in the same order."""
    answers = []
    for number, order in enumerate(itertools.islice(itertools.permutations(range(5)), 0, 120, 17)):
        code = f"CODE-{number}"
        first, second = f"v_{number}_1", f"v_{number}_2"
        story = [
            deleted(first, code, 10),
            gone("vanished", first, 70),
            seen(second, code, 40),
            seen(second, code, 45, event_type="voucher.updated"),
            deleted(second, code, 50),
        ]
        await tell(address, [story[place] for place in order])
        (known,) = await lookups.look_up("p", [CodeAsk(code)])
        places = [bearer.resource_id.rpartition("_")[2] for bearer in known.bearers]
        answers.append((places, decide(known.bearers, known.campaigns).verdict))
    assert answers == [(["2", "1"], "deleted")] * len(answers)


async def test_a_deletion_without_a_code(address: str, lookups: SqlLookups) -> None:
    """Real deletions may name no code: an event that saw the voucher under its code connects the two."""
    await tell(address, [deleted("v_1", None, 10), seen("v_1", "HIDDEN", 0)])
    assert await verdict(lookups, "HIDDEN") == "deleted"
    assert await verdict(lookups, ResourceAsk("voucher", "v_1")) == "deleted"


@pytest.mark.parametrize("known_by", ["sighting", "deletion", "hint"])
async def test_a_campaign_in_the_bin(address: str, lookups: SqlLookups, known_by: str) -> None:
    """Vouchers of a binned campaign are dead, although no event named them."""
    await tell(address, campaign_binned("camp_1", 100))
    if known_by == "sighting":
        await tell(address, [seen("v_1", "SPRING", 0, "camp_1")])
    elif known_by == "deletion":
        await tell(address, [deleted("v_1", "SPRING", 0, "camp_1")])
    hint = "camp_1" if known_by == "hint" else None
    assert await verdict(lookups, CodeAsk("SPRING", campaign_id=hint)) == "dead"
    if hint is None:
        assert await verdict(lookups, ResourceAsk("voucher", "v_1")) == "dead"
    else:
        assert await verdict(lookups, ResourceAsk("voucher", "v_1", hint)) == "dead"
    await tell(address, [gone("purged", "camp_1", 200, "campaign")])
    assert await verdict(lookups, CodeAsk("SPRING", campaign_id=hint)) == "reusable"


async def test_resources_of_every_type(address: str, lookups: SqlLookups) -> None:
    """By id each type is found, and none under another type or as a code."""
    types = ("voucher", "campaign", "product", "sku")
    await tell(address, [observed(each, f"id_{each}", 5, name=f"N {each}") for each in types])
    asks = [ResourceAsk(each, f"id_{other}") for each in types for other in types]
    known = await lookups.look_up("p", asks)
    assert [ids(each) for each in known] == [
        [f"id_{each}"] if each == other else [] for each in types for other in types
    ]
    assert await verdict(lookups, "N voucher") == "dead"
    assert await verdict(lookups, "N product") == "unknown"


async def test_upper_and_lower_case(address: str, lookups: SqlLookups) -> None:
    """A to Z equal a to z only where the project says so; no other letters do."""
    await tell(address, [deleted("v_1", "SummerÉ", 0), deleted("v_2", "SUMMERÉ", 5)])
    found = await lookups.look_up(
        "p",
        [
            CodeAsk("SummerÉ"),
            CodeAsk("summerÉ"),
            CodeAsk("summerÉ", case_sensitive=False),
            CodeAsk("summeré", case_sensitive=False),
            CodeAsk("SUMMERÉ", case_sensitive=False),
        ],
    )
    both = ["v_2", "v_1"]
    assert [ids(known) for known in found] == [["v_1"], [], both, [], both]


async def test_letters_that_change_with_their_case(address: str, lookups: SqlLookups) -> None:
    """Where one letter becomes two, another, or depends on its place, both databases leave it as it is."""
    codes = [
        "STRAßE",
        "straße",
        "STRASSE",
        "İX",
        "ix",
        "i\u0307x",
        "ﬁN",
        "ﬁn",
        "FIN",
        "\u03a3A\u03a3",
        "\u03c3A\u03c2",
        "\u03c3a\u03c3",
    ]
    codes += ["\u212aEL", "\u212ael", "KEL", "ǅA", "ǆa", "x" * 300, "X" * 300, "É" * 300, "é" * 300]
    await tell(address, [deleted(f"v_{n}", code, n) for n, code in enumerate(codes)])
    found = await lookups.look_up("p", [CodeAsk(code, case_sensitive=False) for code in codes])
    lower = [code.encode().lower() for code in codes]  # of bytes, A to Z alone
    assert [set(ids(known)) for known in found] == [
        {f"v_{n}" for n, other in enumerate(lower) if other == code} for code in lower
    ]


@pytest.mark.parametrize("code", ["", "\0", "A\0", "\ud800", "x" * 513, "%", "_", "A_", "' OR 1=1 --", "{}"])
async def test_any_text(address: str, lookups: SqlLookups, code: str) -> None:
    """No text breaks a query or means more than itself, nor does it break those asked beside it."""
    await tell(address, [deleted("v_1", "AB", 0)])
    asks: list[CodeAsk | ResourceAsk] = [
        CodeAsk(code),
        CodeAsk("AB"),
        ResourceAsk("voucher", code),
        CodeAsk("AB", campaign_id=code),
    ]
    assert [ids(known) for known in await lookups.look_up("p", asks)] == [[], ["v_1"], [], ["v_1"]]


async def test_strange_codes_are_found(address: str, lookups: SqlLookups) -> None:
    """Whatever a code is made of, it is found under itself."""
    codes = ["a/b", "50% off", "ключ", "🎁", "a b", '"', "\\", "x" * 512, "tab\there", "ﬁ", "İ"]
    await tell(address, [deleted(f"v_{n}", code, n) for n, code in enumerate(codes)])
    found = await lookups.look_up("p", [CodeAsk(code) for code in codes])
    assert [ids(known) for known in found] == [[f"v_{n}"] for n in range(len(codes))]
    found = await lookups.look_up("p", [CodeAsk(code, case_sensitive=False) for code in codes])
    assert [ids(known) for known in found] == [[f"v_{n}"] for n in range(len(codes))]


async def test_projects_do_not_see_each_other(address: str, lookups: SqlLookups) -> None:
    """The same code and id in two projects, asked at once: each answers for itself."""
    await tell(
        address,
        [
            deleted("v_1", "SAME", 0),
            deleted("v_2", "SAME", 0, project="q"),
            *campaign_binned("camp_1", 0, project="q"),
            seen("v_3", "OTHER", 0, "camp_1"),
        ],
    )
    ours, theirs = await asyncio.gather(
        lookups.look_up("p", [CodeAsk("SAME"), ResourceAsk("voucher", "v_2"), CodeAsk("OTHER")]),
        lookups.look_up("q", [CodeAsk("SAME"), ResourceAsk("voucher", "v_1"), CodeAsk("OTHER")]),
    )
    assert [ids(known) for known in ours] == [["v_1"], [], ["v_3"]]
    assert [ids(known) for known in theirs] == [["v_2"], [], []]
    assert await verdict(lookups, CodeAsk("OTHER", campaign_id="camp_1")) == "unknown"


async def test_what_is_not_seen_alive(address: str, lookups: SqlLookups) -> None:
    """Of events only those that show a voucher alive are sightings."""
    await tell(address, [seen("v_1", "AB", 0, event_type="voucher.publication.succeeded")])
    (known,) = await lookups.look_up("p", [CodeAsk("AB")])
    assert ids(known) == []


async def test_many_at_once(address: str, lookups: SqlLookups) -> None:
    """Thousands asked at the same moment, alone and together, each get their own answer."""
    await tell(address, [deleted(f"v_{n}", f"C{n}", n) for n in range(300)])
    order = [random.Random(7).randrange(600) for _ in range(2_500)]

    async def one(number: int) -> list[str]:
        (known,) = await lookups.look_up("p", [CodeAsk(f"C{number}")])
        return ids(known)

    together = asyncio.create_task(lookups.look_up("p", [CodeAsk(f"C{n}") for n in order]))
    singles = await asyncio.gather(*(one(number) for number in order))
    expected = [[f"v_{number}"] if number < 300 else [] for number in order]
    assert singles == expected
    assert [ids(known) for known in await together] == expected


async def test_who_gives_up_disturbs_nobody(address: str, lookups: SqlLookups) -> None:
    """A lookup that is cancelled leaves those beside it alone."""
    await tell(address, [deleted("v_1", "AB", 0)])
    tasks = [asyncio.create_task(lookups.look_up("p", [CodeAsk("AB")])) for _ in range(6)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[3].cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(each, asyncio.CancelledError) for each in found] == [
        True,
        False,
        False,
        True,
        False,
        False,
    ]


async def test_a_code_that_was_seen_often(address: str, lookups: SqlLookups) -> None:
    """The newest sighting of each voucher is found among many, whatever else is asked beside it."""
    choose = random.Random(5)
    codes = ["Code-1", "CODE-1", "code-2", "x" * 70, "x" * 69 + "X", "\U0001f381" * 512]
    vouchers = ["v_1", "v_2", *(f"{'w' * 64}{n}" for n in range(3)), "\U0001f381" * 511 + "1"]
    newest: dict[str, dict[str, tuple[int, str]]] = {}
    story = []
    for number in range(400):
        code, voucher, second = choose.choice(codes), choose.choice(vouchers), choose.randrange(100)
        event_id = f"evvou_{choose.randrange(10**6)}_{number}"
        story.append(seen(voucher, code, second, event_id=event_id))
        held = newest.setdefault(folded(code), {})
        held[voucher] = max(held.get(voucher, (0, "")), (at(second), event_id))
    await tell(address, story)
    for code in codes:
        (known,) = await lookups.look_up("p", [CodeAsk(code, case_sensitive=False)])
        found = {bearer.resource_id: bearer.seen for bearer in known.bearers}
        assert {each: (sighting.at, sighting.event_id) for each, sighting in found.items() if sighting} == (
            newest[folded(code)]
        )
    await tell(address, [seen("v_9", f"D-{n % 3}", n) for n in range(60)])
    many = await lookups.look_up("p", [CodeAsk(f"D-{n}") for n in range(4)])
    assert [[bearer.seen.at for bearer in known.bearers if bearer.seen] for known in many] == [
        [at(57)],
        [at(58)],
        [at(59)],
        [],
    ]
