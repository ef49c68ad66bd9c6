"""The filters that all commands about events share."""

from typing import Annotated, TypeAlias

import typer

from schemas.events import EventStatus
from schemas.text import MAX_TEXT, is_storable
from schemas.times import Micros, parse_time

ProjectOption: TypeAlias = Annotated[str | None, typer.Option("--project", help="Of this project.")]
StatusOption: TypeAlias = Annotated[EventStatus | None, typer.Option("--status", help="With this status.")]
TypeOption: TypeAlias = Annotated[str | None, typer.Option("--type", help="For example voucher.deleted.")]
CodeOption: TypeAlias = Annotated[
    str | None, typer.Option("--failure-code", help="For example invalid_json.")
]
ChannelOption: TypeAlias = Annotated[str | None, typer.Option("--channel", help="For example USER_PORTAL.")]
ResourceTypeOption: TypeAlias = Annotated[
    str | None, typer.Option("--resource-type", help="voucher, campaign, product or sku.")
]
ResourceIdOption: TypeAlias = Annotated[
    str | None, typer.Option("--resource-id", help="Voucherify's id of the resource.")
]
SinceOption: TypeAlias = Annotated[
    str | None, typer.Option("--since", help="Received at this time or later, ISO 8601; UTC without a zone.")
]
UntilOption: TypeAlias = Annotated[
    str | None, typer.Option("--until", help="Received before this time, ISO 8601; UTC without a zone.")
]
TextOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--text", help="Occurs in the event's, resource's or log's id, the name, or the failure's message."
    ),
]


def moment(text: str | None) -> Micros | None:
    """The time that an option names. Raises BadParameter."""
    if text is None:
        return None
    try:
        return parse_time(text)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is no ISO 8601 time, for example 2026-05-07 or 2026-05-07T09:15:00Z"
        ) from None


def time_range(since: str | None, until: str | None) -> tuple[Micros | None, Micros | None]:
    """Both ends. Raises BadParameter for a range that ends before it starts."""
    received_from, received_until = moment(since), moment(until)
    if received_from is not None and received_until is not None and received_from >= received_until:
        raise typer.BadParameter("--since is not before --until")
    return received_from, received_until


def checked_text(option: str, text: str | None) -> str | None:
    """``text``, if every database can store it. Raises BadParameter."""
    if text is not None and not is_storable(text):
        raise typer.BadParameter(
            f"{option}: at most {MAX_TEXT} characters, without NUL and invalid ones, can be kept"
        )
    return text
