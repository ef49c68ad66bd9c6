"""What all commands share: settings, output for people and machines, exit codes."""

import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn, TypeAlias, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from consumer.bootstrap.run import run_async
from consumer.settings import Settings, load_settings

_T = TypeVar("_T")
_Opened = TypeVar("_Opened")

DONE: Final = 0
FOUND: Final = 1
"""Found something, or did it only in part."""
WRONG_USAGE: Final = 2
AWAY: Final = 3
"""A server does not answer."""
INTERRUPTED: Final = 130
"""Ctrl-C."""
_UNWRAPPED: Final = 400

ConfigOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", metavar="FILE", help="TOML file with settings and [projects.NAME] tables."
    ),
]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def settings_of(context: typer.Context, config: Path | None) -> Settings:
    """The settings; ``--config`` may stand before or after the command. Raises SettingsError."""
    return load_settings(config or context.obj)


def console() -> Console:
    """Standard output for people; lines are as long as they need to be when it is not a terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _UNWRAPPED)


def notice(text: str) -> None:
    """A line for people on standard error, out of the way of results."""
    sys.stderr.write(f"{one_line(text)}\n")
    sys.stderr.flush()


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    text = json.dumps(value, ensure_ascii=False, indent=2) + "\n"
    # Arguments that were no UTF-8 hold halves of surrogate pairs, which UTF-8 lacks.
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
    sys.stdout.flush()


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str | None = None
) -> None:
    """A table; what came from outside is shown as it is, not as markup, and without control characters."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(plain(cell) for cell in row))
    if title is not None:
        console().print(plain(title))  # one of Rich's own would be wrapped to the width of the table
    console().print(table)


def one_line(value: object) -> str:
    """Text on one line that a terminal shows and never obeys."""
    text = "-" if value is None else str(value)
    return "".join(character if character.isprintable() else "�" for character in text)


def plain(value: object) -> str:
    """As ``one_line``, for Rich, who must not take it for markup."""
    return one_line(value).replace("[", "\\[")


def json_line(row: Mapping[str, Any]) -> str:
    """One object on one line, for streams of them."""
    return json.dumps(row)


def confirmed(question: str, *, otherwise: str) -> bool:
    """Ask; where nobody can be asked, say what to do instead. False: it is not to be done."""
    if not sys.stdin.isatty():
        notice(f"binmirror: {question} {otherwise}")
        return False
    if typer.confirm(f"{question} Go on?", err=True):
        return True
    notice("Nothing was changed.")
    return False


def run_with(opened: AbstractAsyncContextManager[_Opened], work: Callable[[_Opened], Awaitable[_T]]) -> _T:
    """What ``work`` makes of what is opened for it."""

    async def run() -> _T:
        async with opened as parts:
            return await work(parts)

    return run_async(run())


def leave(code: int) -> NoReturn:
    """End the command with an exit code."""
    raise typer.Exit(code)
