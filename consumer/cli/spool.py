"""``binmirror spool list``, ``retry``."""

from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer

from consumer.bootstrap.spool import opened_spool
from consumer.cli.common import (
    DONE,
    FOUND,
    ConfigOption,
    JsonOption,
    json_line,
    leave,
    notice,
    print_table,
    settings_of,
)
from consumer.eventlog.spool_file import SetAsideRecord, SpoolFile
from schemas.records import CE_ID, CE_TYPE, PROJECT
from schemas.times import format_time

spool = typer.Typer(no_args_is_help=True, help="Deliveries that Kafka refused for good: look, try again.")

_PAGE: Final = 100
_COLUMNS: Final = ("id", "spooled", "partition", "project", "event", "type", "bytes", "reason")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(spool, name="spool")


@spool.command("list")
def list_command(context: typer.Context, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """List what Kafka refused for good and this machine's spool keeps, oldest first. How many wait: `status`.

    After the alarm `binmirror_spool_set_aside_records`: `binmirror spool list`

    With `--json`, one object a line.

    Exit codes: 0 there is nothing · 1 there is something, or no spool yet · 2 wrong usage ·
    3 the spool cannot be read.
    """
    with opened_spool(settings_of(context, config)) as file:
        found = False
        rows = []
        for record in _all(file):
            found = True
            if as_json:
                typer.echo(json_line(_as_dict(record)))
            else:
                rows.append(list(_as_dict(record).values()))
    if rows:
        print_table(_COLUMNS, rows)
    if not found:
        notice("Nothing was set aside.")
    leave(FOUND if found else DONE)


@spool.command("retry")
def retry_command(
    context: typer.Context,
    ids: Annotated[
        list[int] | None, typer.Argument(metavar="[ID]...", help="As `spool list` shows them.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything that was set aside.")] = False,
    config: ConfigOption = None,
) -> None:
    """Have the service bring records to Kafka once more; what is refused again is set aside again.

    After the topic's `max.message.bytes` was raised: `binmirror spool retry --all`

    Restart the receivers before: they know the topic's limit from when they connected.

    Exit codes: 0 they wait for Kafka · 1 some of them were not there · 2 wrong usage ·
    3 the spool cannot be written.
    """
    if everything == bool(ids):
        raise typer.BadParameter("say which: ids as `binmirror spool list` shows them, or --all")
    with opened_spool(settings_of(context, config)) as file:
        wanted = [record.id for record in _all(file)] if everything else sorted(set(ids or ()))
        moved = sum(file.wait_again(wanted[start : start + _PAGE]) for start in range(0, len(wanted), _PAGE))
    typer.echo(f"{moved} of {len(wanted)} wait for Kafka again; a running receiver brings them there.")
    leave(DONE if moved == len(wanted) else FOUND)


def _all(file: SpoolFile) -> Iterator[SetAsideRecord]:
    after = 0
    while page := file.list_set_aside(after, _PAGE):
        yield from page
        after = page[-1].id


def _as_dict(record: SetAsideRecord) -> dict[str, Any]:
    headers = dict(record.record.headers)

    def header(name: str) -> str | None:
        value = headers.get(name)
        return None if value is None else value.decode(errors="replace")

    return {
        "id": record.id,
        "spooled_at": format_time(record.spooled_at),
        "partition": record.partition,
        "project": header(PROJECT),
        "event_id": header(CE_ID),
        "type": header(CE_TYPE),
        "bytes": len(record.record.value),
        "reason": record.reason,
    }
