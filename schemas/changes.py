"""Changes on the wire: entries with their state, and how to go on."""

from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeAlias

from pydantic import BaseModel

from schemas.events import State
from schemas.positions import LogPosition
from schemas.trash_bin import ShownEntry, render_entry

ChangeState: TypeAlias = Literal[State, "withdrawn"]
"""withdrawn: what said that it was deleted was discarded. The bin knows it no more; a copy forgets it."""


class ChangeView(BaseModel):
    """An entry as it is since its latest change."""

    object: Literal["change"] = "change"
    state: ChangeState
    id: str | None
    """The entry's, as the bin shows it; null when withdrawn."""
    resource_type: str
    resource_id: str
    """With the type, what a copy is keyed by: ids of entries may change."""
    resource_name: str | None
    resource_parent_id: str | None
    created_at: str | None
    deleted_by_user_id: str | None
    position: LogPosition
    """Of the record that made the change."""


class ChangesView(BaseModel):
    """A page of changes."""

    object: Literal["list"] = "list"
    data_ref: Literal["data"] = "data"
    data: list[ChangeView]
    total: int
    """In this page."""
    next: str
    """The cursor to go on with, whether or not there is more yet."""
    has_more: bool
    """Ask again at once. False: the copy was up to date when this was read."""


class ShownChange(NamedTuple):
    """A change as far as it is shown."""

    resource_type: str
    resource_id: str
    state: ChangeState | None
    """None: withdrawn."""
    entry: ShownEntry | None
    partition: int
    offset: int


def changes_json(changes: Iterable[ShownChange], *, following: str, has_more: bool) -> bytes:
    """The page as JSON, on one line."""
    data = [_view(change) for change in changes]
    page = ChangesView(data=data, total=len(data), next=following, has_more=has_more)
    return page.model_dump_json().encode()


def _view(change: ShownChange) -> ChangeView:
    position = LogPosition(partition=change.partition, offset=change.offset)
    if change.entry is None or change.state is None:
        return ChangeView(
            state="withdrawn",
            id=None,
            resource_type=change.resource_type,
            resource_id=change.resource_id,
            resource_name=None,
            resource_parent_id=None,
            created_at=None,
            deleted_by_user_id=None,
            position=position,
        )
    shown = render_entry(change.entry)
    del shown["object"]
    if change.entry.fields is None:
        shown["resource_name"] = None
    return ChangeView(state=change.state, position=position, **shown)
