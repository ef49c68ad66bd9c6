"""Verdicts for any knowledge whatever."""

import random
from typing import Final, get_args

from hypothesis import given
from hypothesis import strategies as st

from handlers.changes import Change, Entry, Fields, ResourceKey
from handlers.merge import merge
from handlers.verdicts import Bearer, Sighting, decide, newest_first
from schemas.events import State

IDS: Final = ("v_1", "v_2", "v_3")
CAMPAIGNS: Final = ("camp_1", "camp_2")
TIMES: Final = st.integers(0, 8)


@st.composite
def changes(draw: st.DrawFn) -> list[Change]:
    """Evidence about a few vouchers and campaigns, in any order."""
    found = []
    for number in range(draw(st.integers(0, 8))):
        resource_id = draw(st.sampled_from([*IDS, *CAMPAIGNS]))
        state: State = draw(st.sampled_from(get_args(State)))
        parent = draw(st.sampled_from([None, *CAMPAIGNS]))
        at = draw(TIMES)
        fields = Fields(at, "CODE", parent, None) if state in {"deleted", "in_bin"} else None
        kind = "voucher" if resource_id in IDS else "campaign"
        event_id = f"e{number}"
        entry_id = f"tbe_{number}" if state == "in_bin" else None
        key = ResourceKey("p", kind, resource_id)
        found.append(Change(key, state, event_id, at, at, at, fields, entry_id))
    return found


@st.composite
def sightings(draw: st.DrawFn) -> dict[str, Sighting]:
    ids = draw(st.sets(st.sampled_from(IDS)))
    return {each: Sighting(f"s_{each}", draw(TIMES)) for each in ids}


def known(evidence: list[Change], seen: dict[str, Sighting]) -> tuple[list[Bearer], dict[str, Entry]]:
    entries: dict[tuple[str, str], Entry] = {}
    for change in evidence:
        key = (change.key.resource_type, change.key.resource_id)
        entries[key] = merge(entries.get(key), change)
    bearers = [
        Bearer(
            "voucher",
            each,
            "CODE",
            entry := entries.get(("voucher", each)),
            seen.get(each),
            entry.fields.resource_parent_id if entry and entry.fields else None,
        )
        for each in IDS
        if ("voucher", each) in entries or each in seen
    ]
    return bearers, {key[1]: entry for key, entry in entries.items() if key[0] == "campaign"}


@given(changes(), sightings(), st.sampled_from([None, *CAMPAIGNS]), st.integers())
def test_order_of_arrival_is_nothing(
    evidence: list[Change], seen: dict[str, Sighting], hint: str | None, seed: int
) -> None:
    """The same evidence in any order, any number of times, gives the same verdict and evidence."""
    bearers, campaigns = known(evidence, seen)
    again = [*evidence, *evidence]
    random.Random(seed).shuffle(again)
    others, other_campaigns = known(again, seen)
    random.Random(seed).shuffle(others)
    assert decide(newest_first(bearers), campaigns, hint) == decide(
        newest_first(others), other_campaigns, hint
    )


@given(changes(), sightings(), st.sampled_from([None, *CAMPAIGNS]))
def test_what_a_verdict_promises(evidence: list[Change], seen: dict[str, Sighting], hint: str | None) -> None:
    """Each verdict rests on evidence of its kind; without any death it is unknown."""
    bearers, campaigns = known(evidence, seen)
    verdict, why = decide(newest_first(bearers), campaigns, hint)
    states = {bearer.entry.state for bearer in bearers if bearer.entry}
    parents = {bearer.campaign_id for bearer in bearers} | {hint}
    states |= {entry.state for name, entry in campaigns.items() if name in parents}
    match verdict:
        case "dead":
            assert why is not None
            assert why.state == "in_bin"
        case "deleted":
            assert why is not None
            assert why.state == "deleted"
        case "reusable":
            assert why is not None
            assert why.state in {"vanished", "purged"}
        case "reused":
            assert why is not None
            assert why.state == "seen"
            assert why.resource_id in seen
            assert all(bearer.entry is None for bearer in bearers if bearer.resource_id == why.resource_id)
            assert states
        case "unknown":
            assert why is None
            assert not [bearer for bearer in bearers if bearer.entry]
    if not states:
        assert verdict == "unknown"
