"""``binmirror events list`` and ``show``."""

import json
from typing import Annotated, Any, Final, Literal

import typer

from consumer.bootstrap.admin import find_event, list_events
from consumer.bootstrap.run import run_async
from consumer.cli.common import (
    DONE,
    FOUND,
    ConfigOption,
    JsonOption,
    console,
    leave,
    notice,
    plain,
    print_json,
    print_table,
    settings_of,
)
from consumer.projection.base import EventQuery, EventRow
from consumer.settings import Settings
from schemas.times import Micros, format_time, parse_time

events = typer.Typer(no_args_is_help=True, help="The events that deliveries brought, failed ones included.")
_MOST: Final = 1000

Status = Literal["applied", "ignored", "failed", "discarded"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(events, name="events")


def _moment(text: str | None) -> Micros | None:
    if text is None:
        return None
    try:
        return parse_time(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no ISO 8601 time, for example 2026-05-07 or 2026-05-07T09:15:00Z"
        ) from None


@events.command("list")
def list_command(
    context: typer.Context,
    project: Annotated[str | None, typer.Option(help="Of this project.")] = None,
    status: Annotated[Status | None, typer.Option(help="With this status.")] = None,
    event_type: Annotated[str | None, typer.Option("--type", help="For example voucher.deleted.")] = None,
    failure_code: Annotated[str | None, typer.Option(help="For example invalid_json.")] = None,
    channel: Annotated[str | None, typer.Option(help="For example USER_PORTAL.")] = None,
    resource_type: Annotated[str | None, typer.Option(help="voucher, campaign, product or sku.")] = None,
    resource_id: Annotated[str | None, typer.Option(help="Voucherify's id of the resource.")] = None,
    since: Annotated[str | None, typer.Option(help="Received at this time or later, ISO 8601.")] = None,
    until: Annotated[str | None, typer.Option(help="Received before this time, ISO 8601.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=_MOST, help="At most so many.")] = 50,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List events, newest first.

    What could not be applied, and why: `binmirror events list --status failed`

    One voucher's story: `binmirror events list --resource-type voucher --resource-id v_SLmKIus1K`

    Exit codes: 0 found some · 1 found none · 2 wrong usage · 3 the projection is away.
    """
    received_from, received_until = _moment(since), _moment(until)
    if received_from is not None and received_until is not None and received_from >= received_until:
        raise typer.BadParameter("--since is not before --until")
    query = EventQuery(
        project=project,
        status=status,
        type=event_type,
        failure_code=failure_code,
        channel=channel,
        resource_type=resource_type,
        resource_id=resource_id,
        received_from=received_from,
        received_until=received_until,
        limit=limit,
    )
    leave(show_events(settings_of(context, config), query, as_json=as_json))


def show_events(settings: Settings, query: EventQuery, *, as_json: bool = False) -> int:
    """List and show; the exit code."""
    rows = run_async(list_events(settings, query))
    if as_json:
        print_json([as_dict(row) for row in rows])
    elif rows:
        print_table(
            ["received", "project", "event", "type", "status", "resource", "reason"],
            [
                (
                    format_time(row.received_at),
                    row.project,
                    row.event_id,
                    row.type,
                    row.status,
                    row.resource_name or row.resource_id,
                    f"{row.failure_code}: {row.failure_message}" if row.failure_code else None,
                )
                for row in rows
            ],
        )
    if not rows:
        notice("No event matches.")
    return DONE if rows else FOUND


@events.command("show")
def show_command(
    context: typer.Context,
    event_id: Annotated[str, typer.Argument(help="For example evvou_0e451d8bb1100d79dd.")],
    project: Annotated[str | None, typer.Option(help="Of this project; any when left out.")] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show all that is known of one event, its body included.

    Why did it fail: `binmirror events show evvou_0e451d8bb1100d79dd`

    Exit codes: 0 found · 1 there is no such event · 3 the projection is away.
    """
    row = run_async(find_event(settings_of(context, config), project, event_id))
    if row is None:
        notice(f"binmirror: there is no event {plain(event_id)}")
        leave(FOUND)
    if as_json:
        print_json(as_dict(row))
        return
    facts = as_dict(row)
    body = facts.pop("body")
    print_table(["field", "value"], list(facts.items()))
    console().print(f"\n{plain_body(body)}", markup=False)


def as_dict(row: EventRow) -> dict[str, Any]:
    """For machines: times as ISO 8601, the body as JSON where it is JSON, else as text."""
    facts = row._asdict()
    facts["occurred_at"] = format_time(row.occurred_at)
    facts["received_at"] = format_time(row.received_at)
    facts["body"] = None if row.body is None else _readable(row.body)
    return facts


def _readable(body: bytes) -> object:
    try:
        document: object = json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "backslashreplace")
    return document


def plain_body(body: object) -> str:
    """The body for people: indented JSON, or its text, without characters that a terminal obeys."""
    text = body if isinstance(body, str) else json.dumps(body, indent=2, ensure_ascii=False)
    return "".join(character if character.isprintable() or character == "\n" else "�" for character in text)
