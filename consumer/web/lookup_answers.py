"""Lookups' answers: what is known of an ask, decided and put into its wire form.

Plain dictionaries of the form that ``schemas.lookups`` describes; a test holds the answers against it. Making
models first would cost more than all else here, a thousand times a call.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic_core import to_json

from consumer.projection.lookups_base import CodeAsk, Known, ResourceAsk
from handlers.verdicts import Bearer, decide
from schemas.times import format_time


def lookup_json(ask: CodeAsk | ResourceAsk, known: Known) -> bytes:
    """The answer to one ask, as JSON."""
    return to_json(_lookup(ask, known))


def lookups_json(asks: Sequence[CodeAsk | ResourceAsk], known: Iterable[Known]) -> bytes:
    """The answers to many, as JSON."""
    data = [_lookup(ask, each) for ask, each in zip(asks, known, strict=True)]
    return to_json({"object": "list", "data_ref": "data", "data": data, "total": len(data)})


def _lookup(ask: CodeAsk | ResourceAsk, known: Known) -> dict[str, Any]:
    """A ``schemas.lookups.LookupView``."""
    verdict, evidence = decide(known.bearers, known.campaigns, ask.campaign_id)
    by_code = isinstance(ask, CodeAsk)
    return {
        "object": "lookup",
        "code": ask.code if isinstance(ask, CodeAsk) else None,
        "resource_type": None if by_code else ask[0],
        "resource_id": None if by_code else ask[1],
        "campaign_id": ask.campaign_id,
        "verdict": verdict,
        "evidence": evidence
        and {
            "resource_type": evidence.resource_type,
            "resource_id": evidence.resource_id,
            "state": evidence.state,
            "event_id": evidence.event_id,
            "at": format_time(evidence.at),
        },
        "resources": [_bearer(bearer) for bearer in known.bearers],
    }


def _bearer(bearer: Bearer) -> dict[str, Any]:
    """A ``schemas.lookups.BearerView``."""
    entry, seen, deleted_at = bearer.entry, bearer.seen, bearer.deleted_at
    return {
        "resource_type": bearer.resource_type,
        "resource_id": bearer.resource_id,
        "resource_name": bearer.name,
        "campaign_id": bearer.campaign_id,
        "state": entry and entry.state,
        "entry_id": entry and entry.id,
        "deleted_at": None if deleted_at is None else format_time(deleted_at),
        "state_at": entry and format_time(entry.evidence_at),
        "state_event_id": entry and entry.evidence_event_id,
        "seen_at": seen and format_time(seen.at),
        "seen_event_id": seen and seen.event_id,
    }
