"""Whether a code, or a resource, is dead: decided from what is known of all that ever bore it. Pure.

What the decision rests on: while something is in Voucherify's bin its code is blocked, so a code has one
living bearer at most; once that is gone for good another resource may bear the code. That is why the newest
bearer decides, and why one that is seen alive proves those before it gone for good. Nothing here depends on
the order in which events arrived.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

from handlers.changes import Entry
from schemas.events import State
from schemas.lookups import Verdict
from schemas.times import Micros


class Sighting(NamedTuple):
    """The newest event that shows a resource alive."""

    event_id: str
    at: Micros
    """When it happened, but not after its receipt."""


class Bearer(NamedTuple):
    """A resource that bore the code, as far as it is known: by its entry, by a sighting, or both."""

    resource_type: str
    resource_id: str
    name: str | None
    entry: Entry | None = None
    seen: Sighting | None = None
    campaign_id: str | None = None
    """A voucher's campaign, as last known."""

    @property
    def deleted_at(self) -> Micros | None:
        """When it was deleted; when it was found gone, if nothing tells of the deletion."""
        return None if self.entry is None else deletion_time(self.entry)

    @property
    def age(self) -> tuple[Micros, str]:
        """Grows with how new it is: the latest that is known of it, then its id."""
        moment = self.deleted_at
        if moment is None:
            moment = self.seen.at if self.seen is not None else 0
        return moment, self.resource_id


class Evidence(NamedTuple):
    """What a verdict rests on."""

    resource_type: str
    resource_id: str
    state: State | Literal["seen"]
    event_id: str
    at: Micros


class Decision(NamedTuple):
    """A verdict and its evidence; none for ``unknown``."""

    verdict: Verdict
    evidence: Evidence | None


_GONE: Final = ("vanished", "purged")
_UNKNOWN: Final = Decision("unknown", None)
_WEIGHT: Final[Mapping[Verdict, int]] = {"dead": 2, "deleted": 1, "reusable": 0}
"""Of what may be said of a campaign."""


def deletion_time(entry: Entry) -> Micros:
    """When the entry's resource was deleted, as far as known. Never after its latest evidence: a clock that
    is ahead must not make one deletion the newest for ever.
    """
    if entry.fields is None:
        return entry.evidence_at
    return min(entry.fields.created_at, entry.evidence_at)


def newest_first(bearers: Sequence[Bearer]) -> list[Bearer]:
    """The bearers in the order in which they count."""
    if len(bearers) <= 1:  # as almost always
        return list(bearers)
    return sorted(bearers, key=lambda bearer: bearer.age, reverse=True)


def decide(
    bearers: Sequence[Bearer], campaigns: Mapping[str, Entry], campaign_id: str | None = None
) -> Decision:
    """The verdict on what all ``bearers`` (newest first) have in common.

    Args:
        bearers: as ``newest_first`` sorts them.
        campaigns: the entries of campaigns, by id: those of ``campaign_id`` and of the bearers that have one.
        campaign_id: the campaign that the code belongs to according to whoever asks.

    """
    if not bearers:
        return _of_campaign(None if campaign_id is None else campaigns.get(campaign_id))
    asked = None if campaign_id is None else campaigns.get(campaign_id)
    newest, *others = bearers
    decision = _fate(newest, _weightier(asked, _campaign_of(newest, campaigns)))
    if asked is not None and decision.verdict == "reusable" and asked.state not in _GONE:
        # The bearer known here is gone, but whoever asks knows of one in a campaign that is in the bin.
        return _of_campaign(asked)
    if decision.verdict != "unknown" or newest.seen is None:
        return decision
    return _before(newest, newest.seen, others, campaigns)


def _before(
    newest: Bearer, seen: Sighting, others: Sequence[Bearer], campaigns: Mapping[str, Entry]
) -> Decision:
    """Of a bearer that was seen alive and of whose death nothing is known: did it take the code over?"""
    for other in others:
        fate = _fate(other, _campaign_of(other, campaigns))
        if fate.evidence is None:
            continue
        if fate.verdict == "reusable" or seen.at > fate.evidence.at:
            evidence = Evidence(newest.resource_type, newest.resource_id, "seen", seen.event_id, seen.at)
            return Decision("reused", evidence)
        return fate
    return _UNKNOWN


def _fate(bearer: Bearer, campaign: Entry | None) -> Decision:
    """Of one resource; ``unknown`` when nothing tells of its death."""
    entry = bearer.entry
    if entry is None:
        return _of_campaign(campaign)
    if entry.state == "deleted" and campaign is not None and campaign.state != "deleted":
        # It went where its campaign went, of which more is known.
        return _of_campaign(campaign)
    return Decision(_verdict(entry.state), _evidence(entry))


def _of_campaign(campaign: Entry | None) -> Decision:
    return _UNKNOWN if campaign is None else Decision(_verdict(campaign.state), _evidence(campaign))


def _weightier(asked: Entry | None, known: Entry | None) -> Entry | None:
    """Of the campaign that whoever asks names and the one that is known: that which says more against it."""
    if asked is None or known is None:
        return asked or known
    return known if _WEIGHT[_verdict(known.state)] > _WEIGHT[_verdict(asked.state)] else asked


def _campaign_of(bearer: Bearer, campaigns: Mapping[str, Entry]) -> Entry | None:
    return None if bearer.campaign_id is None else campaigns.get(bearer.campaign_id)


def _verdict(state: State) -> Verdict:
    if state in _GONE:
        return "reusable"
    return "dead" if state == "in_bin" else "deleted"


def _evidence(entry: Entry) -> Evidence:
    _, resource_type, resource_id = entry.key
    return Evidence(resource_type, resource_id, entry.state, entry.evidence_event_id, entry.evidence_at)
