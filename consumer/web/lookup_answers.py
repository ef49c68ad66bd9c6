"""Lookups' answers: what is known of an ask, decided and put into its wire form.

Structs of the form that ``schemas.lookups`` describes, which msgspec writes; a test holds the answers against
the models there.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, Literal

import msgspec

from consumer.projection.lookups_base import CodeAsk, Known, ResourceAsk
from handlers.verdicts import Bearer, Evidence, decide, deletion_time
from schemas.lookups import Verdict
from schemas.times import Micros, format_time


class _Evidence(msgspec.Struct, gc=False):
    """A ``schemas.lookups.EvidenceView``."""

    resource_type: str
    resource_id: str
    state: str
    event_id: str
    at: str


class _Bearer(msgspec.Struct, gc=False):
    """A ``schemas.lookups.BearerView``."""

    resource_type: str
    resource_id: str
    resource_name: str | None
    campaign_id: str | None
    state: str | None
    entry_id: str | None
    deleted_at: str | None
    state_at: str | None
    state_event_id: str | None
    seen_at: str | None
    seen_event_id: str | None


class _Lookup(msgspec.Struct, gc=False):
    """A ``schemas.lookups.LookupView``."""

    object: Literal["lookup"]
    code: str | None
    resource_type: str | None
    resource_id: str | None
    campaign_id: str | None
    verdict: Verdict
    evidence: _Evidence | None
    resources: list[_Bearer]


class _Lookups(msgspec.Struct):
    """A ``schemas.lookups.LookupsView``."""

    object: Literal["list"]
    data_ref: Literal["data"]
    data: list[_Lookup]
    total: int


_encode: Final = msgspec.json.Encoder().encode


def lookup_json(ask: CodeAsk | ResourceAsk, known: Known) -> bytes:
    """The answer to one ask, as JSON."""
    return _encode(_lookup(ask, known))


def lookups_json(asks: Sequence[CodeAsk | ResourceAsk], known: Iterable[Known]) -> bytes:
    """The answers to many, as JSON."""
    data = [_lookup(ask, each) for ask, each in zip(asks, known, strict=True)]
    return _encode(_Lookups("list", "data", data, len(data)))


def _lookup(ask: CodeAsk | ResourceAsk, known: Known) -> _Lookup:
    verdict, evidence = decide(known.bearers, known.campaigns, ask.campaign_id)
    if isinstance(ask, CodeAsk):
        code, resource_type, resource_id = ask.code, None, None
    else:
        code, resource_type, resource_id = None, ask.resource_type, ask.resource_id
    return _Lookup(
        "lookup",
        code,
        resource_type,
        resource_id,
        ask.campaign_id,
        verdict,
        None if evidence is None else _evidence(evidence),
        [_bearer(bearer) for bearer in known.bearers],
    )


def _evidence(evidence: Evidence) -> _Evidence:
    resource_type, resource_id, state, event_id, at = evidence
    return _Evidence(resource_type, resource_id, state, event_id, _time(at))


def _bearer(bearer: Bearer) -> _Bearer:
    resource_type, resource_id, name, entry, seen, campaign_id = bearer
    state = entry_id = deleted_at = state_at = state_event_id = seen_at = seen_event_id = None
    if entry is not None:
        state, entry_id, state_event_id = entry.state, entry.id, entry.evidence_event_id
        deleted, evidence_at = deletion_time(entry), entry.evidence_at
        state_at = _time(evidence_at)
        deleted_at = state_at if deleted == evidence_at else _time(deleted)
    if seen is not None:
        seen_at, seen_event_id = _time(seen.at), seen.event_id
    return _Bearer(
        resource_type,
        resource_id,
        name,
        campaign_id,
        state,
        entry_id,
        deleted_at,
        state_at,
        state_event_id,
        seen_at,
        seen_event_id,
    )


@lru_cache(maxsize=64)
def _time(moment: Micros) -> str:
    """One answer often names the same moment three times."""
    return format_time(moment)
