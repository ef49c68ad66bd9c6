"""``binmirror reconcile``."""

import os
import sys
from collections.abc import Sequence
from contextlib import aclosing
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from consumer.bootstrap.reconcile import chosen_projects, reconcile
from consumer.bootstrap.run import run_async
from consumer.cli.common import (
    DONE,
    FOUND,
    INTERRUPTED,
    WRONG_USAGE,
    ConfigOption,
    JsonOption,
    leave,
    notice,
    plain,
    print_json,
    print_table,
    settings_of,
)
from consumer.clock import SystemClock
from consumer.ops.reconcile_report import MEANINGS, Progress, Report, duration
from consumer.projection.reconcile_base import Mode
from consumer.settings import Settings
from consumer.voucherify.errors import ForbiddenError, NotFoundError, UnauthorizedError
from consumer.voucherify.retry_policy import Wait
from schemas.times import format_time

_LINE_SECONDS: Final = 10.0
_NICENESS: Final = 10


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("reconcile")(reconcile_command)


def reconcile_command(
    context: typer.Context,
    full: Annotated[
        bool, typer.Option("--full", help="Read everything; the only way to find what is gone.")
    ] = False,
    report: Annotated[
        bool, typer.Option("--report", help="Read everything and tell of the drift; change nothing.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With --full: believe it, however many entries are gone.")
    ] = False,
    project: Annotated[
        list[str] | None, typer.Option(help="Only this project; may be repeated. All when left out.")
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Make the mirror agree with Voucherify's own bin: what was missed, real ids, what is gone for good.

    The first load, and every time that nothing may be missing: `binmirror reconcile --full`

    What is new since the last time: `binmirror reconcile`

    What would be found: `binmirror reconcile --report`

    Safe while the service runs, which does the same by itself (RECONCILE_EVERY). Ctrl-C leaves everything
    consistent; the same command goes on where it was.

    Exit codes: 0 done · 1 drift found (--report), or stopped because so much is gone, or another process is
    at it, or what answers is not Voucherify's API · 2 wrong usage or credentials · 3 a server is away.
    """
    if force and not full:
        raise typer.BadParameter("--force only goes with --full")
    if full and report:
        raise typer.BadParameter("--report reads everything anyway: leave --full out")
    if sys.platform != "win32":
        os.nice(_NICENESS)  # millions of entries must not take the processor from the receiver beside us
    mode: Mode = "report" if report else "full" if full else "incremental"
    leave(show_reconcile(settings_of(context, config), mode, project or (), force=force, as_json=as_json))


def show_reconcile(
    settings: Settings, mode: Mode, projects: Sequence[str], *, force: bool, as_json: bool
) -> int:
    """Reconcile and show; the exit code."""
    chosen = chosen_projects(settings, projects)
    reports: list[Report] = []
    display = _Display()

    async def work() -> None:
        told = reconcile(
            settings,
            chosen,
            mode,
            force=force,
            watch=display.progress,
            on_wait=display.waiting,
            on_busy=lambda words: notice(f"{words}; waiting for it"),
        )
        async with aclosing(told):
            async for report in told:
                display.end()
                reports.append(report)
                if not as_json:
                    _show(report)

    code = DONE
    try:
        run_async(work())
    except KeyboardInterrupt:
        display.end()
        notice("Interrupted; everything is consistent. The same command goes on where this one was.")
        code = INTERRUPTED
    except (UnauthorizedError, ForbiddenError, NotFoundError) as error:
        notice(f"binmirror: {error}")
        code = WRONG_USAGE
    finally:
        display.end()
        if as_json:
            print_json([report.as_dict() for report in reports])
    if code == DONE and any(_found(report) for report in reports):
        return FOUND
    return code


def _found(report: Report) -> bool:
    return report.outcome == "stopped" or (report.mode == "report" and report.drift > 0)


def _show(report: Report) -> None:
    rows = [
        (report.tally.get(name, 0), meaning) for name, meaning in MEANINGS.items() if report.tally.get(name)
    ]
    what = {"full": "everything read", "incremental": "what is new read", "report": "drift, nothing changed"}
    title = f"{report.project}: {what[report.mode]} in {duration(report.seconds)}"
    print_table(["entries", "of Voucherify's bin"], rows or [(0, MEANINGS["read"])], title=title)
    if report.resumed:
        begun = format_time(report.started_at)
        notice(f"{report.project}: this run was begun at {begun}; what changed since then is for the next")
    if report.words:
        notice(f"binmirror: {report.words}")


class _Display:
    """Says how far it is: a bar on a terminal, now and then a line elsewhere; on standard error."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._bar: Bar | None = None
        self._task: Any = None
        self._project = ""
        self._next_line = 0.0

    def progress(self, progress: Progress) -> None:
        """A page was read."""
        if self._project != progress.project:
            self._project = progress.project
            notice(f"{progress.project}: {progress.forecast()}")
            self._next_line = self._clock.monotonic() + _LINE_SECONDS
            if sys.stderr.isatty():
                self._begin_bar(progress)
        if self._bar is not None:
            self._bar.update(
                self._task, completed=progress.read, total=progress.total, rate=f"{progress.rate:,.0f}/s"
            )
        elif self._clock.monotonic() >= self._next_line:
            self._next_line = self._clock.monotonic() + _LINE_SECONDS
            left = progress.seconds_left
            rest = "" if left is None else f", about {duration(left)} left"
            notice(f"{progress.project}: {progress.read:,} entries read, {progress.rate:,.0f}/s{rest}")

    def _begin_bar(self, progress: Progress) -> None:
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task(plain(progress.project), total=progress.total, rate="")

    def waiting(self, waiting: Wait) -> None:
        """A request waits."""
        if waiting.seconds >= 1:
            notice(f"{waiting}")

    def end(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        self._project = ""
