"""The JSON Schemas that readers of the topics need: own events and the entry, each with its version.

A version's fields stay; fields may be added. What would break a reader gets a new version, beside the old.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from pydantic import BaseModel

from consumer.web.contract.jsonschemas import schemas_of
from schemas.bin_entry import ENTRY_SCHEMA_VERSION, BinEntry
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
)

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


class Published(NamedTuple):
    """One schema."""

    name: str
    """What it describes: an event's type, or ``binmirror.entry``."""
    version: int
    model: type[BaseModel]

    @property
    def file(self) -> str:
        """Stable."""
        return f"{self.name}.v{self.version}.json"

    @property
    def id(self) -> str:
        """Stable too, and the same wherever the service stands."""
        return f"urn:binmirror:schema:{self.name}:v{self.version}"

    def schema(self) -> Mapping[str, Any]:
        """The whole schema, self-contained."""
        (found,), definitions = schemas_of([self.model], "serialization", "#/$defs/{model}")
        others = dict(definitions)
        if "$ref" in found:
            found = others.pop(found["$ref"].rpartition("/")[2])
        whole = {"$schema": DIALECT, "$id": self.id, **found}
        return {**whole, "$defs": others} if others else whole


OWN_EVENTS: Final = (
    Published(OBSERVED, 1, EntryObserved),
    Published(VANISHED, 1, EntryVanished),
    Published(PURGED, 1, EntryPurged),
    Published(REDRIVEN, 1, EventRedriven),
    Published(DISCARDED, 1, EventDiscarded),
)
"""Own events in the event log."""
ENTRY: Final = Published("binmirror.entry", ENTRY_SCHEMA_VERSION, BinEntry)
"""A value in the topic of entries."""
PUBLISHED: Final = (*OWN_EVENTS, ENTRY)
