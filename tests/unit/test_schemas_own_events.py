import json
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.events import Delivery, Event
from schemas.own_events import (
    DISCARDED,
    OBSERVED,
    PURGED,
    REDRIVEN,
    VANISHED,
    EntryObserved,
    EntryPurged,
    EntryVanished,
    EventDiscarded,
    EventRedriven,
    OwnEvent,
    record_of,
)
from schemas.reading import read

RECEIVED_AT = 1_720_000_000_000_000
RUN: dict[str, Any] = {"project": "default", "run_id": "run_1", "evidence_at": 1_719_999_999_000_000}
OBSERVATION = EntryObserved(
    project="default",
    run_id="run_1",
    evidence_at=1_719_999_999_000_000,
    resource_type="sku",
    resource_id="sku_1",
    entry_id="tbe_0eb651ca7b8ae37184",
    created_at=1_715_073_422_827_000,
    resource_name="Trash container icy blue",
    resource_parent_id="prod_1",
    deleted_by_user_id=None,
)
ALL: list[tuple[str, OwnEvent]] = [
    (OBSERVED, OBSERVATION),
    (VANISHED, EntryVanished(**RUN, resource_type="voucher", resource_id="v_1")),
    (PURGED, EntryPurged(**RUN, resource_type="voucher", resource_id="v_1", requested_by="anna")),
    (REDRIVEN, EventRedriven(**RUN, target_event_id="evvou_1", resource_type="voucher", resource_id="v_1")),
    (DISCARDED, EventDiscarded(**RUN, target_event_id="evvou_1", reason="a test delivery")),
]


def read_body(event_type: str, body: bytes, project: str = "default") -> Event:
    return read(Delivery(project, "binmirror", event_type, RECEIVED_AT, body))


@pytest.mark.parametrize(("event_type", "own"), ALL, ids=lambda each: each if isinstance(each, str) else "")
def test_an_own_event_reads_back(event_type: str, own: OwnEvent) -> None:
    """What is built is what is read: type, run, evidence, resource, and a model for the handler."""
    record = record_of(own)
    event = read_body(record.type, record.body)
    assert event.failure is None
    assert (record.type, record.event_id) == (event_type, event.event_id)
    assert event.data == own.model_copy(update={"event_id": record.event_id})
    assert (event.source, event.group_id, event.occurred_at) == ("binmirror", "run_1", RUN["evidence_at"])
    assert (event.resource_type, event.resource_id) == (own.resource_type, own.resource_id)
    assert json.loads(record.body)["version"] == 1


def test_ids_tell_runs_types_and_targets_apart() -> None:
    """The same finding of one run is one event; another run, type, project or resource makes another."""
    ids = {record_of(own).event_id for _, own in ALL}
    assert len(ids) == len(ALL)
    assert record_of(OBSERVATION).event_id == record_of(OBSERVATION).event_id
    for change in ({"run_id": "run_2"}, {"project": "other"}, {"resource_id": "sku_2"}):
        ids.add(record_of(OBSERVATION.model_copy(update=change)).event_id)
    assert len(ids) == len(ALL) + 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": 2}, "version"),
        ({"event_id": ""}, "event_id"),
        ({"event_id": "evvou_1"}, "event_id"),
        ({"run_id": ""}, "run_id"),
        ({"resource_type": "customer"}, "resource_type"),
        ({"resource_id": "x\x00"}, "resource_id"),
        ({"resource_name": "x" * 513}, "resource_name"),
        ({"evidence_at": "2024-01-01T00:00:00Z"}, "evidence_at"),
        ({"evidence_at": 10**30}, "evidence_at"),
        ({"created_at": None}, "created_at"),
    ],
)
def test_an_own_event_of_another_form_fails(changes: dict[str, Any], said: str) -> None:
    """A version, a field or a value that this version does not know is a failure that names it."""
    body = json.dumps(json.loads(record_of(OBSERVATION).body) | changes).encode()
    event = read_body(OBSERVED, body)
    assert event.failure is not None
    assert event.failure.code == "invalid_envelope"
    assert said in event.failure.message
    assert event.data is None


@pytest.mark.parametrize(
    ("event_type", "body", "project", "code"),
    [
        (OBSERVED, b"{", "default", "invalid_json"),
        (OBSERVED, b"[]", "default", "invalid_envelope"),
        (OBSERVED, record_of(OBSERVATION).body, "other", "wrong_project"),
        ("binmirror.entry.renamed", record_of(OBSERVATION).body, "default", "unknown_type"),
        ("\x00" * 1000, b"", "default", "unknown_type"),
    ],
)
def test_an_unreadable_own_event_fails(event_type: str, body: bytes, project: str, code: str) -> None:
    """What is no own event of ours is kept as a failed one, with storable text."""
    event = read_body(event_type, body, project)
    assert event.failure is not None
    assert event.failure.code == code
    assert "\x00" not in event.type + event.failure.message


def test_unstorable_evidence_cannot_be_built() -> None:
    """A builder refuses what no database would store."""
    with pytest.raises(ValidationError):
        EntryVanished(**RUN, resource_type="voucher", resource_id="v\x00")
