"""Lookups' answers: what is known of an ask, decided and put into its wire form."""

from collections.abc import Iterable, Sequence

from consumer.projection.lookups_base import CodeAsk, Known, ResourceAsk
from handlers.verdicts import Bearer, Evidence, decide
from schemas.lookups import BearerView, EvidenceView, LookupsView, LookupView
from schemas.times import Micros, format_time


def lookup_view(ask: CodeAsk | ResourceAsk, known: Known) -> LookupView:
    """The answer to one ask."""
    decision = decide(known.bearers, known.campaigns, ask.campaign_id)
    code, resource_type, resource_id = None, None, None
    if isinstance(ask, CodeAsk):
        code = ask.code
    else:
        resource_type, resource_id = ask.resource_type, ask.resource_id
    return LookupView(
        code=code,
        resource_type=resource_type,
        resource_id=resource_id,
        campaign_id=ask.campaign_id,
        verdict=decision.verdict,
        evidence=None if decision.evidence is None else _evidence(decision.evidence),
        resources=[_bearer(bearer) for bearer in known.bearers],
    )


def lookups_json(asks: Sequence[CodeAsk | ResourceAsk], known: Iterable[Known]) -> bytes:
    """The answers to many, as JSON."""
    views = [lookup_view(ask, each) for ask, each in zip(asks, known, strict=True)]
    return LookupsView(data=views, total=len(views)).model_dump_json().encode()


def _evidence(evidence: Evidence) -> EvidenceView:
    return EvidenceView(
        resource_type=evidence.resource_type,
        resource_id=evidence.resource_id,
        state=evidence.state,
        event_id=evidence.event_id,
        at=format_time(evidence.at),
    )


def _bearer(bearer: Bearer) -> BearerView:
    entry, seen = bearer.entry, bearer.seen
    return BearerView(
        resource_type=bearer.resource_type,
        resource_id=bearer.resource_id,
        resource_name=bearer.name,
        campaign_id=bearer.campaign_id,
        state=None if entry is None else entry.state,
        entry_id=None if entry is None else entry.id,
        deleted_at=_time(bearer.deleted_at),
        state_at=None if entry is None else format_time(entry.evidence_at),
        state_event_id=None if entry is None else entry.evidence_event_id,
        seen_at=None if seen is None else format_time(seen.at),
        seen_event_id=None if seen is None else seen.event_id,
    )


def _time(moment: Micros | None) -> str | None:
    return None if moment is None else format_time(moment)
