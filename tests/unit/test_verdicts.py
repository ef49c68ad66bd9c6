"""What is said of a code, for every combination of what may be known."""

from typing import Any, Final

import pytest

from handlers.changes import Entry, Fields, ResourceKey
from handlers.verdicts import Bearer, Sighting, decide, deletion_time, newest_first
from schemas.events import State

GONE: Final[tuple[State, ...]] = ("vanished", "purged")


def entry(
    state: State,
    *,
    resource_id: str = "v_1",
    resource_type: str = "voucher",
    deleted: int = 10,
    at: int | None = None,
    parent: str | None = None,
) -> Entry:
    return Entry(
        ResourceKey("p", resource_type, resource_id),
        state=state,
        evidence_at=deleted if at is None else at,
        evidence_event_id=f"ev_{resource_id}",
        sort_key="tbe_1",
        provisional_id="tbe_1",
        entry_id=None,
        fields=Fields(deleted, "CODE", parent, None),
        snapshot_event_id="e",
        snapshot_occurred_at=deleted,
        observed_at=None,
        observed_event_id=None,
    )


def dead(state: State, resource_id: str = "v_1", **more: Any) -> Bearer:
    found = entry(state, resource_id=resource_id, **more)
    return Bearer("voucher", resource_id, "CODE", found, None, more.get("parent"))


def alive(at: int, resource_id: str = "v_2", campaign: str | None = None) -> Bearer:
    return Bearer("voucher", resource_id, "CODE", None, Sighting(f"seen_{resource_id}", at), campaign)


def campaign(state: State, campaign_id: str = "camp_1", at: int = 20) -> dict[str, Entry]:
    return {campaign_id: entry(state, resource_id=campaign_id, resource_type="campaign", deleted=at)}


def verdict(*bearers: Bearer, campaigns: dict[str, Entry] | None = None, hint: str | None = None) -> str:
    return decide(newest_first(bearers), campaigns or {}, hint).verdict


@pytest.mark.parametrize(
    ("state", "expected"),
    [("deleted", "deleted"), ("in_bin", "dead"), ("vanished", "reusable"), ("purged", "reusable")],
)
def test_one_entry(state: State, expected: str) -> None:
    """One entry alone: its state says it, and is the evidence."""
    decision = decide([dead(state)], {})
    assert decision.verdict == expected
    assert decision.evidence is not None
    assert decision.evidence == ("voucher", "v_1", state, "ev_v_1", 10)


def test_nothing_known() -> None:
    """A code never seen, and one only seen alive, are unknown, without evidence."""
    assert decide([], {}) == ("unknown", None)
    assert decide([alive(5)], {}) == ("unknown", None)
    assert verdict(alive(5), alive(6, "v_3")) == "unknown"
    assert verdict(alive(5, campaign="camp_1")) == "unknown"


@pytest.mark.parametrize("newest", ["deleted", "in_bin", *GONE])
@pytest.mark.parametrize("older", ["deleted", "in_bin", *GONE])
def test_the_newest_entry_decides(newest: State, older: State) -> None:
    """Of two bearers the one that was deleted later decides, whatever the other is."""
    both = (dead(newest, "v_1", deleted=20), dead(older, "v_2", deleted=10, at=90))
    assert verdict(*both) == verdict(*reversed(both)) == verdict(both[0])


@pytest.mark.parametrize("state", GONE)
def test_reused(state: State) -> None:
    """Gone for good, and another seen alive after the deletion: reused. Before it, or itself: not."""
    gone = dead(state, deleted=10, at=50)
    assert verdict(gone, alive(11)) == "reused"
    decision = decide(newest_first([gone, alive(11)]), {})
    assert decision.evidence == ("voucher", "v_2", "seen", "seen_v_2", 11)
    assert verdict(gone, alive(9)) == "reusable"
    assert verdict(gone._replace(seen=Sighting("s", 60))) == "reusable"


@pytest.mark.parametrize(("state", "otherwise"), [("deleted", "deleted"), ("in_bin", "dead")])
def test_a_later_bearer_proves_the_code_free(state: State, otherwise: str) -> None:
    """The bin blocks a code: another seen alive after the last evidence shows that the first is out of it."""
    held = dead(state, deleted=10, at=50)
    assert verdict(held, alive(51)) == "reused"
    assert verdict(held, alive(50)) == otherwise
    assert verdict(held, alive(11)) == otherwise
    assert verdict(held, alive(9)) == otherwise


@pytest.mark.parametrize(
    ("state", "own"),
    [("deleted", "deleted"), ("in_bin", "dead"), ("vanished", "reusable"), ("purged", "reusable")],
)
@pytest.mark.parametrize("known_by", ["sighting", "asker", "asker alone"])
def test_a_campaign_takes_its_vouchers_along(state: State, own: str, known_by: str) -> None:
    """A voucher without an entry of its own shares the fate of its campaign."""
    bearers = {"sighting": [alive(5, campaign="camp_1")], "asker": [alive(5)], "asker alone": []}[known_by]
    hint = None if known_by == "sighting" else "camp_1"
    assert verdict(*bearers, campaigns=campaign(state), hint=hint) == own
    decision = decide(bearers, campaign(state), hint)
    assert decision.evidence == ("campaign", "camp_1", state, "ev_camp_1", 20)


@pytest.mark.parametrize(
    ("voucher", "of_campaign", "expected"),
    [
        ("deleted", "deleted", "deleted"),
        ("deleted", "in_bin", "dead"),
        ("deleted", "vanished", "reusable"),
        ("deleted", "purged", "reusable"),
        ("in_bin", "deleted", "dead"),
        ("in_bin", "in_bin", "dead"),
        ("in_bin", "vanished", "dead"),
        ("in_bin", "purged", "dead"),
        ("vanished", "in_bin", "reusable"),
        ("vanished", "deleted", "reusable"),
        ("purged", "in_bin", "reusable"),
        ("purged", "purged", "reusable"),
    ],
)
def test_voucher_and_campaign(voucher: State, of_campaign: State, expected: str) -> None:
    """A campaign speaks for a voucher of which less is known; one that is gone has set its code free."""
    assert verdict(dead(voucher, parent="camp_1"), campaigns=campaign(of_campaign)) == expected


@pytest.mark.parametrize(("state", "expected"), [("in_bin", "dead"), ("deleted", "deleted")])
def test_whoever_asks_may_know_a_campaign_that_we_do_not(state: State, expected: str) -> None:
    """The known bearer is gone, yet the code is asked for as one of a campaign in the bin: that counts."""
    assert verdict(dead("purged"), campaigns=campaign(state), hint="camp_1") == expected
    assert verdict(dead("purged"), campaigns=campaign("purged"), hint="camp_1") == "reusable"
    assert verdict(dead("purged"), campaigns=campaign(state), hint="camp_2") == "reusable"


def test_a_code_that_outlived_a_campaign() -> None:
    """Its first bearer went with a campaign, another is seen later: reused."""
    first = alive(5, "v_1", "camp_1")
    assert verdict(first, alive(30), campaigns=campaign("in_bin")) == "reused"
    assert verdict(first, alive(6), campaigns=campaign("in_bin")) == "dead"
    assert verdict(first, alive(6), campaigns=campaign("purged")) == "reused"


def test_a_clock_that_is_ahead() -> None:
    """A deletion dated into the future counts at its evidence, so later ones can still be newer."""
    ahead = entry("purged", deleted=1_000, at=40)
    assert deletion_time(ahead) == 40
    assert deletion_time(ahead._replace(fields=None)) == 40
    later = dead("in_bin", "v_2", deleted=50)
    assert verdict(Bearer("voucher", "v_1", "CODE", ahead), later) == "dead"


def test_bearers_of_the_same_moment() -> None:
    """Their ids put them in order."""
    pair = [dead("purged", "v_1"), dead("in_bin", "v_2")]
    assert newest_first(pair) == newest_first(pair[::-1]) == pair[::-1]


@pytest.mark.parametrize(
    ("asked", "known", "expected"),
    [
        ("vanished", "in_bin", "dead"),
        ("in_bin", "vanished", "dead"),
        ("purged", "deleted", "deleted"),
        ("deleted", "in_bin", "dead"),
        ("vanished", "purged", "reusable"),
    ],
)
def test_of_two_campaigns_the_worse_counts(asked: State, known: State, expected: str) -> None:
    """Whoever asks may name another campaign than the one known: what speaks most against the code counts."""
    campaigns = campaign(asked, "camp_1") | campaign(known, "camp_2")
    assert verdict(alive(5, campaign="camp_2"), campaigns=campaigns, hint="camp_1") == expected
