import json
import os
import re
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

from consumer.cli.app import app, main
from consumer.cli.common import plain


class Result(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in an empty folder, with the settings given and no others."""
    for name in [name for name in os.environ if name.startswith("BINMIRROR_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def runner(*arguments: str, **settings: str) -> Result:
        with monkeypatch.context() as context:
            for name, value in settings.items():
                context.setenv(f"BINMIRROR_{name}", value)
            context.setattr(sys, "argv", ["binmirror", *arguments])
            context.setattr(os, "nice", lambda _: 0)  # the tests' own process keeps its priority
            with pytest.raises(SystemExit) as ended:
                main()
        out, err = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return Result(code, out, err)

    return runner


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


ALL = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_teaches_by_example(run: Run, path: tuple[str, ...]) -> None:
    """Every command explains itself, with a command line to copy."""
    result = run(*path, "--help")
    assert result.code == 0
    assert f"binmirror {' '.join(path)}" in result.out.replace("\n", " ")
    assert f"`binmirror {' '.join(path)}" in str(ALL[path].help) or "=true binmirror" in str(ALL[path].help)


def test_all_commands_are_documented() -> None:
    """docs/commands.md has a line for each command, and for nothing else."""
    text = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
    documented = re.findall(r"^\| `binmirror ([^`]+)`", text, re.MULTILINE)
    assert sorted(documented) == sorted(" ".join(path) for path in ALL)


def test_all_commands_are_there() -> None:
    """The command line has these commands and no others."""
    assert {" ".join(path) for path in ALL} == {
        "serve",
        "send",
        "status",
        "events list",
        "events show",
        "init",
        "migrate",
        "reconcile",
        "topics create",
        "version",
        "demo",
        "events redrive",
        "events discard",
        "keys create",
        "keys list",
        "keys revoke",
        "spool list",
        "spool retry",
        "worker pause",
        "worker resume",
        "worker status",
    }


@pytest.mark.parametrize(
    "arguments",
    [("nonsense",), ("send", "--count", "0"), ("serve", "--role", "boss"), ("serve", "--port", "x"),
     ("events", "list", "--since", "yesterday"), ("events", "list", "--status", "lost"),
     ("events", "list", "--since", "2026-02-02", "--until", "2026-02-01"), ("send", "missing.json"),
     ("send", "--to", "ftp://x"), ("send", "--to", "http://")],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage(run: Run, arguments: tuple[str, ...]) -> None:
    """Wrong usage ends with 2 and says what is wrong, without a traceback."""
    result = run(*arguments, WEBHOOK_SECRETS="s")
    assert result.code == 2
    assert result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize("command", ["serve", "send", "status", "migrate"])
def test_wrong_setting(run: Run, command: str) -> None:
    """A wrong setting ends any command with 2 and one line that names it."""
    result = run(command, PUBLISH_DEADLINE="9")
    assert result == Result(
        2,
        "",
        "binmirror: PUBLISH_DEADLINE: Input should be less than 8; "
        "for example BINMIRROR_PUBLISH_DEADLINE=3\n",
    )


def test_serve_needs_a_secret(run: Run) -> None:
    """The receiver does not start without the secret that it verifies with."""
    result = run("serve", API_APP_ID="i", API_APP_TOKEN="t")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "WEBHOOK_SECRETS: is missing" in result.err


def test_serve_on_a_taken_port(run: Run) -> None:
    """A port that another process has is said in one line, before anything is opened."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = run("serve", "--port", port, WEBHOOK_SECRETS="s", API_APP_ID="i", API_APP_TOKEN="t")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert f"port {port} cannot be listened on" in result.err
    assert not Path("data").exists()


def test_migrate_brings_the_substring_index_to_its_setting(run: Run) -> None:
    """The index of parts is made, made larger and dropped as the setting says; the output names its keys."""
    for setting, before, after in (
        ("names", [], ["resource_name"]),
        ("all", ["resource_name"], ["id", "resource_id", "resource_name"]),
        ("off", ["id", "resource_id", "resource_name"], []),
    ):
        result = run("migrate", "--json", SUBSTRING_INDEX=setting)
        assert (result.code, json.loads(result.out)["substring_index"]) == (
            0,
            {"before": before, "after": after},
        )


def test_config_before_or_after_the_command(run: Run) -> None:
    """The TOML file may be named on either side of the command."""
    Path("wrong.toml").write_text("prot = 1")
    for arguments in (("--config", "wrong.toml", "status"), ("status", "--config", "wrong.toml")):
        result = run(*arguments)
        assert result.code == 2
        assert "PROT: there is no such setting; did you mean PORT?" in result.err


def test_send_to_nobody(run: Run) -> None:
    """When nobody answers, send says so and ends with 3."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        result = run("send", "--to", f"http://127.0.0.1:{port}", "--secret", "s")
    assert result.code == 3
    assert "no answer" in result.out


def test_send_without_a_secret(run: Run) -> None:
    """Without a secret in the settings or on the command line there is nothing to sign with."""
    assert run("send").code == 2
    result = run("send", "--project", "shop", WEBHOOK_SECRETS="s")
    assert result.code == 2
    assert "'shop'" in result.err


def test_version(run: Run) -> None:
    """A report of a fault can name every version that matters."""
    result = run("version", "--json")
    assert result.code == 0
    assert all(name in result.out for name in ("binmirror", "sqlite", "aiokafka", "python"))


def test_events_where_the_projection_is_away(run: Run) -> None:
    """A database that does not answer is said in one line, exit code 3."""
    result = run("events", "list", PROJECTION="postgresql://nobody@127.0.0.1:1/none")
    assert (result.code, result.out) == (3, "")
    assert result.err.startswith("binmirror: ")


def test_status_names_what_is_away(run: Run) -> None:
    """Status shows what it can, names the part that is away, and ends with 3."""
    result = run("status", PROJECTION="postgresql://nobody:hunter2@127.0.0.1:1/none")
    assert result.code == 3
    assert "the projection is away" in result.err
    assert "hunter2" not in result.out + result.err


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (0, "0"),
        ("a\x1b[31mb", "a�\\[31mb"),
        ("a\nb", "a�b"),
        ("\ud800", "�"),
        ("[red]", "\\[red]"),
    ],
)
def test_terminal_is_never_obeyed(value: object, shown: str) -> None:
    """Names that hold control characters or markup are shown, not carried out."""
    assert plain(value) == shown
