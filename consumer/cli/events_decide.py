"""``binmirror events redrive`` and ``discard``."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from consumer.bootstrap.names import who
from consumer.bootstrap.operators import Operators, operators
from consumer.cli.common import (
    DONE,
    FOUND,
    INTERRUPTED,
    WRONG_USAGE,
    ConfigOption,
    JsonOption,
    confirmed,
    leave,
    notice,
    print_json,
    print_table,
    run_with,
    settings_of,
)
from consumer.cli.event_filters import EventFilters, checked_text, with_event_filters
from consumer.clock import SystemClock
from consumer.ops.failed_events import Action, Preview, Report, Selection
from consumer.ops.worker_switch import blocking_reasons
from consumer.projection.base import EventQuery
from consumer.settings import Settings

_LINE_SECONDS: Final = 10.0
_DONE_WORDS: Final = {"redrive": "redriven", "discard": "discarded"}

IdsArgument: TypeAlias = Annotated[
    list[str] | None, typer.Argument(metavar="[EVENT_ID]...", help="These events; or use filters.")
]
ReasonOption: TypeAlias = Annotated[str | None, typer.Option("--reason", help="Kept with the decision.")]
DryRunOption: TypeAlias = Annotated[
    bool, typer.Option("--dry-run", help="Only count what it would be done to.")
]
YesOption: TypeAlias = Annotated[
    bool, typer.Option("--yes", "-y", help="Do not ask before it is done to everything.")
]


def register(events: typer.Typer) -> None:
    """Add the commands."""
    events.command("redrive")(redrive_command)
    events.command("discard")(discard_command)


@with_event_filters
def redrive_command(
    context: typer.Context,
    filters: EventFilters,
    event_ids: IdsArgument = None,
    status: Annotated[
        Literal["failed", "ignored"], typer.Option("--status", help="ignored: after a handler was added.")
    ] = "failed",
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Handle failed (or ignored) events again with today's code, after what failed them was mended.

    One of them: `binmirror events redrive evvou_0e451d8bb1100d79dd`

    How many would it be: `binmirror events redrive --failure-code handler_error --dry-run`

    Safe while the service runs, whose worker does it. After Ctrl-C the same command goes on with the rest.

    Exit codes: 0 done · 1 some failed again, were left alone or not handled yet · 2 wrong usage · 3 a server
    is away.
    """
    selection = _selection(filters.query(status), event_ids)
    request = Request("redrive", selection, checked_text("--reason", reason), yes=yes, dry_run=dry_run)
    leave(decide(settings_of(context, config), request, as_json=as_json))


@with_event_filters
def discard_command(
    context: typer.Context,
    filters: EventFilters,
    event_ids: IdsArgument = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Give failed events up, for good, with a reason: later deliveries and rebuilds leave them out too.

    One of them: `binmirror events discard evvou_0e451d8bb1100d79dd --reason "a test voucher"`

    All of one kind: `binmirror events discard --failure-code missing_envelope --reason "the test button"`

    Safe while the service runs, whose worker does it. After Ctrl-C the same command goes on with the rest.

    Exit codes: 0 done · 1 some were left alone or are not handled yet · 2 wrong usage · 3 a server is away.
    """
    if not reason and not dry_run:
        raise typer.BadParameter("--reason is missing: say why, for those who look at it later")
    selection = _selection(filters.query("failed"), event_ids)
    request = Request("discard", selection, checked_text("--reason", reason), yes=yes, dry_run=dry_run)
    leave(decide(settings_of(context, config), request, as_json=as_json))


class Request(NamedTuple):
    """What is to be done, and how."""

    action: Action
    selection: Selection
    reason: str | None
    yes: bool
    dry_run: bool


def decide(settings: Settings, request: Request, *, as_json: bool) -> int:
    """Count, ask where it must be asked, do it, and show what became of it; the exit code."""
    preview = run_with(
        operators(settings, tells=False),
        lambda opened: opened.events.preview(request.action, request.selection),
    )
    if request.dry_run or not preview.eligible:
        _show_preview(request, preview, as_json=as_json)
        return FOUND if preview.unknown or (request.selection.ids and not preview.eligible) else DONE
    if request.selection.is_everything() and not request.yes and not _confirmed(request, preview):
        return WRONG_USAGE
    display = _Display(request.action)

    async def work(opened: Operators) -> tuple[Report, list[str]]:
        report = await opened.events.decide(
            request.action, request.selection, who=who(), reason=request.reason, watch=display.show
        )
        return report, blocking_reasons(await opened.switch.state())

    try:
        report, kept = run_with(operators(settings), work)
    except KeyboardInterrupt:
        told = display.latest.told if display.latest is not None else 0
        notice(
            f"Interrupted. {told} events were told of, and will be {_DONE_WORDS[request.action]}; "
            "the same command goes on with the rest."
        )
        return INTERRUPTED
    finally:
        display.end()
    if as_json:
        print_json(report.as_dict())
    else:
        _show(report)
    for line in kept if report.pending else ():
        notice(f"binmirror: the worker: {line}")
    return DONE if report.complete else FOUND


def _selection(query: EventQuery, ids: list[str] | None) -> Selection:
    if not ids:
        return Selection(query)
    filters = set(Selection(query).filters()) - {"status", "project"}
    if filters:
        raise typer.BadParameter("event ids and filters do not go together")
    return Selection(EventQuery(project=query.project), ids)


def _confirmed(request: Request, preview: Preview) -> bool:
    question = f"This matches all {preview.eligible} events that can be {_DONE_WORDS[request.action]}."
    return confirmed(question, otherwise="Narrow it down, or say --yes.")


def _show_preview(request: Request, preview: Preview, *, as_json: bool) -> None:
    found = [(status, code, number) for (status, code), number in sorted(preview.by_status.items(), key=str)]
    if as_json:
        print_json(
            {
                "action": request.action,
                "eligible": preview.eligible,
                "matching": [{"status": s, "failure_code": c, "count": n} for s, c, n in found],
                "unknown": list(preview.unknown),
            }
        )
        return
    if found:
        print_table(["status", "failure code", "events"], found)
    notice(f"{preview.eligible} events would be {_DONE_WORDS[request.action]}; nothing was changed.")
    _show_unknown(preview.unknown)


def _show(report: Report) -> None:
    rows = [(status, number) for status, number in sorted(report.became.items())]
    if report.left_alone:
        rows.append(("left alone: not failed", report.left_alone))
    if report.pending:
        rows.append(("told of, not handled yet", report.pending))
    print_table(["events are now", "number"], rows, title=f"{report.action}: {report.told} events")
    _show_unknown(report.unknown)


def _show_unknown(ids: Sequence[str]) -> None:
    for event_id in ids:
        notice(f"binmirror: there is no event {event_id}")


class _Display:
    """Says how far it is: a bar on a terminal, now and then a line elsewhere; on standard error."""

    def __init__(self, action: Action) -> None:
        self.latest: Report | None = None
        self._words = _DONE_WORDS[action]
        self._clock = SystemClock()
        self._next_line = self._clock.monotonic() + _LINE_SECONDS
        self._bar: Progress | None = None
        self._task: Any = None

    def show(self, report: Report) -> None:
        self.latest = report
        if sys.stderr.isatty():
            if self._bar is None:
                columns = (TextColumn(self._words), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
                self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
                self._bar.start()
                self._task = self._bar.add_task("", total=report.eligible)
            self._bar.update(self._task, completed=report.told)
        elif self._clock.monotonic() >= self._next_line:
            self._next_line = self._clock.monotonic() + _LINE_SECONDS
            notice(f"{report.told} of {report.eligible} told of, {report.became.total()} handled")

    def end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
