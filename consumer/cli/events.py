"""``binmirror events list`` and ``show``; the others are registered here too."""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer

from consumer.bootstrap.admin import find_event, list_events
from consumer.bootstrap.operators import event_finder
from consumer.bootstrap.run import run_async
from consumer.cli import events_decide
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
from consumer.cli.event_filters import EventFilters, ProjectOption, with_event_filters
from consumer.projection.base import EventQuery, EventRow
from consumer.projection.event_finder import DecisionRow
from consumer.settings import Settings
from schemas.events import EventStatus
from schemas.snapshots import readable
from schemas.times import format_time

events = typer.Typer(no_args_is_help=True, help="The events that deliveries brought, failed ones included.")
_MOST: Final = 1000


def register(app: typer.Typer) -> None:
    """Add the commands."""
    events_decide.register(events)
    app.add_typer(events, name="events")


@events.command("list")
@with_event_filters
def list_command(
    context: typer.Context,
    filters: EventFilters,
    status: Annotated[EventStatus | None, typer.Option("--status", help="With this status.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=_MOST, help="At most so many.")] = 50,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List events, newest first.

    What could not be applied, and why: `binmirror events list --status failed`

    One voucher's story: `binmirror events list --resource-type voucher --resource-id v_SLmKIus1K`

    Exit codes: 0 found some · 1 found none · 2 wrong usage · 3 the projection is away.
    """
    leave(show_events(settings_of(context, config), filters.query(status, limit=limit), as_json=as_json))


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
    project: ProjectOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show all that is known of one event: what the dashboard shows, deliveries, attempts, decisions, body.

    Why did it fail: `binmirror events show evvou_0e451d8bb1100d79dd`

    Exit codes: 0 found · 1 there is no such event · 3 the projection is away.
    """
    row, decisions = run_async(_found(settings_of(context, config), project, event_id))
    if row is None:
        notice(f"binmirror: there is no event {event_id}")
        leave(FOUND)
    if as_json:
        decided = [{**made._asdict(), "decided_at": format_time(made.decided_at)} for made in decisions]
        print_json({**as_dict(row), "decisions": decided})
        return
    print_table(["event", plain(row.event_id)], _facts(row))
    if decisions:
        typer.echo()
        made_by = [
            (made.action, format_time(made.decided_at), made.who, made.reason, made.event_id)
            for made in decisions
        ]
        print_table(["decision", "at", "by", "reason", "its event"], made_by)
    console().print(f"\n{plain_body(as_dict(row)['body'])}", markup=False)


async def _found(
    settings: Settings, project: str | None, event_id: str
) -> tuple[EventRow | None, Sequence[DecisionRow]]:
    row = await find_event(settings, project, event_id)
    if row is None:
        return None, []
    async with event_finder(settings) as finder:
        return row, await finder.decisions(row.project, row.event_id)


def _facts(row: EventRow) -> list[tuple[str, object]]:
    """As the dashboard names them, then what only the mirror knows."""
    resource = " ".join(filter(None, (row.resource_type, row.resource_id, row.resource_name)))
    return [
        ("type", row.type),
        ("occurred", format_time(row.occurred_at)),
        ("log id", row.group_id),
        ("channel", row.channel),
        ("user", row.user_id),
        ("resource", resource or None),
        ("project", f"{row.project} ({row.voucherify_project or '-'})"),
        ("status", row.status),
        ("failure", f"{row.failure_code}: {row.failure_message}" if row.failure_code else None),
        ("attempts", row.attempts),
        ("deliveries", row.deliveries),
        ("received", format_time(row.received_at)),
        ("delivery", row.delivery_id or None),
        ("written by", row.source),
        ("position", f"{row.partition}/{row.offset}"),
    ]


def as_dict(row: EventRow) -> dict[str, Any]:
    """For machines: times as ISO 8601, the body as JSON where it is JSON, else as text."""
    facts = row._asdict()
    facts["occurred_at"] = format_time(row.occurred_at)
    facts["received_at"] = format_time(row.received_at)
    facts["body"] = None if row.body is None else readable(row.body)
    return facts


def plain_body(body: object) -> str:
    """The body for people: indented JSON, or its text, without characters that a terminal obeys."""
    text = body if isinstance(body, str) else json.dumps(body, indent=2, ensure_ascii=False)
    return "".join(character if character.isprintable() or character == "\n" else "�" for character in text)
