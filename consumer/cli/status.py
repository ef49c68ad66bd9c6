"""``binmirror status``."""

import typer

from consumer.bootstrap.admin import current_status
from consumer.bootstrap.run import run_async
from consumer.cli.common import (
    AWAY,
    DONE,
    FOUND,
    ConfigOption,
    JsonOption,
    leave,
    notice,
    print_json,
    print_table,
    settings_of,
)
from consumer.ops.status import Status
from consumer.settings import Settings
from schemas.times import format_time


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(status_command)


def status_command(context: typer.Context, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Show how log, projection and spool are. Works while the service runs, and when a part is away.

    A look: `binmirror status`

    Wait until nothing lags, in a script: `binmirror status --json | jq '[.partitions[].lag] | add'`

    Exit codes: 0 all well · 1 there are failed events, or something needs a person · 3 a part is away.
    """
    leave(show_status(settings_of(context, config), as_json=as_json))


def show_status(settings: Settings, *, as_json: bool = False) -> int:
    """Ask and show; the exit code."""
    status = run_async(current_status(settings))
    if as_json:
        print_json(status.as_dict())
    else:
        _show(status)
    for part, reason in status.away.items():
        notice(f"binmirror: the {part} is away: {reason}")
    for part, reason in status.stopped.items():
        notice(f"binmirror: the {part}: {reason}")
    if status.away:
        return AWAY
    missed = any(seen.webhook.missed for seen in status.reconciliation)
    return FOUND if status.stopped or status.failed() or missed else DONE


def _show(status: Status) -> None:
    print_table(["part", "address", "facts"], _parts(status))
    if status.partitions():
        typer.echo()
        print_table(
            ["partition", "log start", "log end", "applied up to", "lag", "worker", "end last seen"],
            [
                (row.partition, row.start, row.end, row.next_offset, row.lag, row.owner, row.caught_up_at)
                for row in status.partitions()
            ],
        )
    if status.projection is not None:
        _show_contents(status)
    if status.reconciliation:
        _show_reconciliation(status)


def _parts(status: Status) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    if status.log is not None:
        facts = ", ".join(f"{name} {value}" for name, value in status.log.details.items())
        rows.append(("event log", status.log.address, facts))
    if status.projection is not None:
        info = status.projection
        schema = f"schema {info.schema_version}"
        if info.schema_version != info.latest_schema_version:
            schema += f" (this version knows {info.latest_schema_version}: run binmirror migrate)"
        rows.append(("projection", info.address, f"{info.kind} {info.server_version}, {schema}"))
    if status.spool is not None:
        spool = status.spool
        rows.append(("spool", spool.path, f"{spool.waiting} waiting, {spool.set_aside} set aside"))
    if status.topic is not None:
        rows.append(("topic of entries", status.topic.address, status.topic.words))
    for project, url in status.webhook_urls.items():
        rows.append(("webhook", url, f"the URL to enter in Voucherify, for {project}"))
    return rows


def _show_contents(status: Status) -> None:
    info = status.projection
    assert info is not None  # noqa: S101 - the caller has looked
    projects = sorted({key[0] for key in (*info.entries, *info.events)} | set(info.last_deliveries))
    rows = []
    for project in projects:
        entries = {
            f"{state} {kind}": count for (name, kind, state), count in info.entries.items() if name == project
        }
        events = {state: count for (name, state), count in info.events.items() if name == project}
        last = info.last_deliveries.get(project)
        rows.append(
            (project, _counts(entries), _counts(events), format_time(last) if last is not None else None)
        )
    typer.echo()
    print_table(["project", "entries", "events", "last verified delivery"], rows)


def _show_reconciliation(status: Status) -> None:
    typer.echo()
    print_table(
        ["project", "Voucherify's bin last read whole", "last looked at", "last failure"],
        [
            (seen.project, _moment(seen.full_done_at), _moment(seen.done_at), seen.failure)
            for seen in status.reconciliation
        ],
    )
    for seen in status.reconciliation:
        if seen.webhook.words:
            notice(f"binmirror: {seen.project}: {seen.webhook.words}")


def _moment(moment: int | None) -> str | None:
    return None if moment is None else format_time(moment)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items())) or "none"
