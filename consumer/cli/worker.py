"""``binmirror worker pause``, ``resume``, ``status``."""

from typing import Annotated

import typer

from consumer.bootstrap.names import who
from consumer.bootstrap.operators import worker_switch
from consumer.cli.common import (
    DONE,
    FOUND,
    ConfigOption,
    JsonOption,
    leave,
    notice,
    one_line,
    print_json,
    run_with,
    settings_of,
)
from consumer.cli.event_filters import checked_text
from consumer.ops.worker_switch import WorkerSwitch, as_dict, blocking_reasons
from consumer.projection.control_base import WorkerState

worker = typer.Typer(no_args_is_help=True, help="The worker: pause it, let it go on.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(worker, name="worker")


@worker.command("pause")
def pause_command(
    context: typer.Context,
    reason: Annotated[str | None, typer.Option(help="Shown in status and health.")] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Have the workers of all processes wait, within a second. Deliveries are received all the same.

    Before a change to the database: `binmirror worker pause --reason "moving the database"`

    A paused worker stays in its group and is ready. The order outlives restarts, until `worker resume`.

    Exit codes: 0 done, or paused before · 3 the projection is away.
    """
    reason = checked_text("--reason", reason)

    async def work(switch: WorkerSwitch) -> tuple[bool, WorkerState]:
        return await switch.pause(who=who(), reason=reason), await switch.state()

    changed, state = run_with(worker_switch(settings_of(context, config)), work)
    if as_json:
        print_json({"changed": changed, **as_dict(state)})
        return
    if not changed:
        notice("It was paused already; that order stays.")
    _show(state)


@worker.command("resume")
def resume_command(context: typer.Context, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Let the workers go on, after a pause or after one stopped by itself; says what kept them.

    After handlers raised so often that it stopped: `binmirror worker resume`

    What stopped it has to be mended first, or those events fail: redrive them later.

    Exit codes: 0 done · 1 nothing kept them · 3 the projection is away.
    """
    before = run_with(worker_switch(settings_of(context, config)), lambda switch: switch.resume(who=who()))
    kept = blocking_reasons(before)
    if as_json:
        print_json({"before": as_dict(before)})
    elif kept:
        for line in kept:
            typer.echo(one_line(f"It was {line}" if line.startswith("paused") else line))
        typer.echo("The workers go on within a second.")
    if not kept:
        notice("Nothing keeps the workers from working.")
    leave(DONE if kept else FOUND)


@worker.command("status")
def status_command(context: typer.Context, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Show whether something keeps the workers from working. How far they are: `binmirror status`.

    In a script: `binmirror worker status --json`

    Exit codes: 0 nothing does · 1 paused, or one has stopped by itself · 3 the projection is away.
    """
    state = run_with(worker_switch(settings_of(context, config)), lambda switch: switch.state())
    if as_json:
        print_json(as_dict(state))
    else:
        _show(state)
    leave(FOUND if blocking_reasons(state) else DONE)


def _show(state: WorkerState) -> None:
    for line in blocking_reasons(state) or ["Nothing keeps the workers from working."]:
        typer.echo(one_line(line))
