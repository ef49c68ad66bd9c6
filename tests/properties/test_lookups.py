"""What a lookup says after any story, told in any order, is what plain rules say of that story."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumer.projection.lookups import SqlLookups
from consumer.projection.lookups_base import CodeAsk, ResourceAsk
from consumer.projection.read_pool import ReadPool
from handlers.verdicts import decide
from schemas.events import Delivery
from tests.lookup_kit import deleted, gone, observed, seen, tell
from tests.properties.test_projection import clear

CODES = ("Ab", "Ab", "aB", "ÄB")
"""Of the vouchers 0, 1, 2, 3, which die in this order; the deletion of the last one names no code."""
NAMELESS = 3
ASKED = ("Ab", "aB", "AB", "ÄB", "äb", "other")
LATER = {"deleted": 0, "observed": 1, "vanished": 2, "purged": 3}
STEP = st.tuples(st.sampled_from([*LATER, "seen"]), st.integers(0, 3), st.integers(0, 9))


def moment(kind: str, voucher: int, number: int) -> int:
    """No two kinds of evidence are of the same moment; a voucher may be seen before and after any death."""
    if kind == "seen":
        return 50 * number + 40 + voucher
    return 100 * (voucher + 1) + (10 * number + LATER[kind] if LATER[kind] else 0)


def delivery(kind: str, voucher: int, number: int) -> Delivery:
    resource_id, at = f"v_{voucher}", moment(kind, voucher, number)
    match kind:
        case "deleted":
            return deleted(resource_id, None if voucher == NAMELESS else CODES[voucher], at)
        case "observed":
            return observed("voucher", resource_id, at, name=CODES[voucher], created=100 * (voucher + 1))
        case "seen":
            return seen(resource_id, CODES[voucher], at)
    return gone(kind, resource_id, at)


class Told:
    """One voucher, as a story tells of it."""

    def __init__(self, voucher: int, story: list[tuple[str, int, int]]) -> None:
        mine = [(kind, moment(kind, *rest)) for kind, *rest in story if rest[0] == voucher]
        kinds = {kind for kind, _ in mine}
        self.named = bool(kinds & {"observed", "seen"}) or ("deleted" in kinds and voucher != NAMELESS)
        self.seen = max((at for kind, at in mine if kind == "seen"), default=None)
        purged = [(at, kind) for kind, at in mine if kind == "purged"]
        others = [(at, kind) for kind, at in mine if kind not in {"purged", "seen"}]
        self.last, self.state = max(purged or others, default=(0, ""))
        self.died = 100 * (voucher + 1) if kinds & {"deleted", "observed"} else self.last

    @property
    def verdict(self) -> str:
        names = {"deleted": "deleted", "observed": "dead"}
        return names.get(self.state, "reusable") if self.state else "unknown"


def verdict(bearers: list[Told]) -> str:
    """The newest bearer decides; one that was only seen alive may have taken over from one before."""
    newest, *before = sorted(bearers, key=lambda each: each.died or each.seen or 0, reverse=True)
    if newest.state:
        return newest.verdict
    for other in before:
        if other.state:
            over = other.verdict == "reusable" or (newest.seen or 0) > other.last
            return "reused" if over else other.verdict
    return "unknown"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=st.lists(STEP, max_size=14), half=st.integers(0, 14))
async def test_any_story(address: str, story: list[tuple[str, int, int]], half: int) -> None:
    """Codes in their own and in any case, and ids: each has the verdict of the rules."""
    clear(address)
    for part in (story[:half], story[half:]):
        if part:
            await tell(address, [delivery(*step) for step in part])
    vouchers = [Told(number, story) for number in range(len(CODES))]
    asks: list[CodeAsk | ResourceAsk] = [
        *(CodeAsk(code, case_sensitive) for code in ASKED for case_sensitive in (True, False)),
        *(ResourceAsk("voucher", f"v_{number}") for number in range(len(CODES))),
    ]
    pool = ReadPool(address, readers=1)
    found = await SqlLookups(pool).look_up("p", asks)
    await pool.stop()
    for ask, known in zip(asks, found, strict=True):
        if isinstance(ask, ResourceAsk):
            bearers = [vouchers[int(ask.resource_id[2:])]]
        else:
            same = bytes if ask.case_sensitive else bytes.lower  # of bytes, A to Z alone
            bearers = [
                voucher
                for voucher, code in zip(vouchers, CODES, strict=True)
                if voucher.named and same(code.encode()) == same(ask.code.encode())
            ]
        expected = verdict(bearers) if bearers else "unknown"
        assert decide(known.bearers, known.campaigns).verdict == expected, ask
