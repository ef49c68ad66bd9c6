"""The filters that all commands about events share."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, TypeAlias, get_type_hints

import typer

from consumer.projection.base import EventQuery
from schemas.text import MAX_TEXT, is_storable
from schemas.times import Micros, parse_time

ProjectOption: TypeAlias = Annotated[str | None, typer.Option("--project", help="Of this project.")]
_Type: TypeAlias = Annotated[str | None, typer.Option("--type", help="For example voucher.deleted.")]
_Code: TypeAlias = Annotated[str | None, typer.Option("--failure-code", help="For example invalid_json.")]
_Channel: TypeAlias = Annotated[str | None, typer.Option("--channel", help="For example USER_PORTAL.")]
_ResourceType: TypeAlias = Annotated[
    str | None, typer.Option("--resource-type", help="voucher, campaign, product or sku.")
]
_ResourceId: TypeAlias = Annotated[
    str | None, typer.Option("--resource-id", help="Voucherify's id of the resource.")
]
_Since: TypeAlias = Annotated[
    str | None, typer.Option("--since", help="Received at this time or later, ISO 8601; UTC without a zone.")
]
_Until: TypeAlias = Annotated[
    str | None, typer.Option("--until", help="Received before this time, ISO 8601; UTC without a zone.")
]
_Text: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--text", help="Occurs in the event's, resource's or log's id, the name, or the failure's message."
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilters:
    """What the options were given that all commands about events have."""

    project: ProjectOption
    event_type: _Type
    failure_code: _Code
    channel: _Channel
    resource_type: _ResourceType
    resource_id: _ResourceId
    since: _Since
    until: _Until
    text: _Text

    def query(self, status: str | None, *, limit: int = EventQuery().limit) -> EventQuery:
        """The events that they choose. Raises BadParameter for a range that ends before it starts."""
        received_from, received_until = _moment(self.since), _moment(self.until)
        if received_from is not None and received_until is not None and received_from >= received_until:
            raise typer.BadParameter("--since is not before --until")
        return EventQuery(
            project=self.project,
            status=status,
            type=self.event_type,
            failure_code=self.failure_code,
            channel=self.channel,
            resource_type=self.resource_type,
            resource_id=self.resource_id,
            received_from=received_from,
            received_until=received_until,
            text=self.text,
            limit=limit,
        )


def with_event_filters(command: Callable[..., None]) -> Callable[..., None]:
    """``command``, whose parameter ``filters`` Typer fills by the options of ``EventFilters``."""
    hints = get_type_hints(EventFilters, include_extras=True)
    names = [field.name for field in fields(EventFilters)]
    options = [
        Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=hints[name])
        for name in names
    ]
    own = signature(command)
    parameters: list[Parameter] = []
    for parameter in own.parameters.values():
        parameters += options if parameter.name == "filters" else [parameter]

    @wraps(command)
    def run(**given: object) -> None:
        filters = EventFilters(**{name: given.pop(name) for name in names})  # type: ignore[arg-type]  # checked by Typer
        command(**given, filters=filters)

    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]  # what Typer looks at
    return run


def _moment(text: str | None) -> Micros | None:
    """The time that an option names. Raises BadParameter."""
    if text is None:
        return None
    try:
        return parse_time(text)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is no ISO 8601 time, for example 2026-05-07 or 2026-05-07T09:15:00Z"
        ) from None


def checked_text(option: str, text: str | None) -> str | None:
    """``text``, if every database can store it. Raises BadParameter."""
    if text is not None and not is_storable(text):
        raise typer.BadParameter(
            f"{option}: at most {MAX_TEXT} characters, without NUL and invalid ones, can be kept"
        )
    return text
