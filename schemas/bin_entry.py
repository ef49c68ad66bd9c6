"""An entry of the bin as the compacted topic of entries holds it: the JSON value of a record.

It has what moves an entry's position when it changes, and nothing else: so a copy made of the topic is
equal to the bin, field by field.
"""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.events import ResourceType, State
from schemas.positions import LogPosition

ENTRY_SCHEMA_VERSION: Final = 1
"""Grows when a reader of the earlier form would go wrong; new fields alone do not make it grow."""


class BinEntry(BaseModel):
    """An entry of the bin. A later version may add fields: readers ignore what they do not know."""

    model_config = ConfigDict(extra="ignore", frozen=True, json_schema_serialization_defaults_required=True)

    schema_version: Literal[1] = ENTRY_SCHEMA_VERSION
    project: str = Field(description="The project's name in binmirror's configuration.")
    resource_type: ResourceType
    resource_id: str
    id: str = Field(description="The entry's id: Voucherify's own once it is known, provisional until then.")
    state: State = Field(
        description="deleted: a webhook said so. in_bin: Voucherify's bin confirmed it. vanished: no longer "
        "in the bin, gone for good. purged: deleted for good through binmirror. After the last two comes a "
        "tombstone."
    )
    resource_name: str | None = Field(
        description="A voucher's code, else a name; null: only known to be gone."
    )
    resource_parent_id: str | None = Field(description="For example a voucher's campaign.")
    created_at: str | None = Field(description="When it came into the bin, ISO 8601 in UTC; null: not known.")
    deleted_by_user_id: str | None
    position: LogPosition = Field(description="Of the record in the event log that last changed the entry.")
