"""``binmirror keys``: output for people and machines, asking, bad input, exit codes."""

import json
from pathlib import Path

import pytest

from consumer.projection.migrate import migrate
from tests.unit.test_cli import Run, run

__all__ = ["run"]  # a fixture


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """An empty projection."""
    migrate(f"sqlite:///{tmp_path}/bin.db")
    return {"EVENT_LOG": f"sqlite:///{tmp_path}/log.db", "PROJECTION": f"sqlite:///{tmp_path}/bin.db"}


def created(run: Run, settings: dict[str, str], *arguments: str) -> str:
    """The id of a new key."""
    result = run("keys", "create", "--name", "checkout [1]", *arguments, "--json", **settings)
    assert result.code == 0, result.err
    app_id: str = json.loads(result.out)["app_id"]
    return app_id


def test_create(run: Run, settings: dict[str, str]) -> None:
    """Id and token are printed as the headers that they are, once; what the key may is said besides."""
    result = run("keys", "create", "--name", "checkout", **settings)
    app_id, token = (line.partition(": ")[2] for line in result.out.splitlines())
    assert (result.code, result.out) == (0, f"X-App-Id: {app_id}\nX-App-Token: {token}\n")
    assert "campaigns.read, products.read, vouchers.read" in result.err
    assert "not shown again" in result.err
    listed = run("keys", "list", **settings)
    assert app_id in listed.out
    assert token not in listed.out + run("keys", "list", "--json", **settings).out


def test_create_for_machines(run: Run, settings: dict[str, str]) -> None:
    """Permissions may be repeated; JSON has everything about the key."""
    arguments = ["--permission", "vouchers.read", "--permission", "vouchers.delete", "--json"]
    key = json.loads(run("keys", "create", "--name", "a", *arguments, *arguments[:2], **settings).out)
    assert key["permissions"] == ["vouchers.delete", "vouchers.read"]
    assert (key["project"], key["name"], key["last_used_at"], key["revoked_at"]) == (
        "default",
        "a",
        None,
        None,
    )
    assert key["created_at"].endswith("Z")
    assert "@" in key["created_by"]
    assert len(key["app_token"]) == 43


def test_wrong_usage(run: Run, settings: dict[str, str]) -> None:
    """No name, an empty one, an unknown permission or project: exit 2, and nothing is created."""
    for arguments in (
        [],
        ["--name", " "],
        ["--name", "x" * 600],
        ["--name", "a", "--permission", "vouchers.write"],
        ["--name", "a", "--project", "nobody"],
    ):
        result = run("keys", "create", *arguments, **settings)
        assert (result.code, result.out) == (2, "")
    several = json.dumps({"a": {}, "b": {}})
    result = run("keys", "create", "--name", "x", **settings, PROJECTS=several)
    assert (result.code, "--project is missing; configured: a, b" in result.err) == (2, True)
    assert json.loads(run("keys", "list", "--json", **settings).out) == []


def test_lists(run: Run, settings: dict[str, str]) -> None:
    """Lists are by project; revoked keys are listed when asked for; names are shown as they are."""
    several = {**settings, "PROJECTS": json.dumps({"a": {}, "b": {}})}
    first, second = created(run, several, "--project", "a"), created(run, several, "--project", "b")
    assert [key["app_id"] for key in json.loads(run("keys", "list", "--json", **several).out)] == [
        first,
        second,
    ]
    only = json.loads(run("keys", "list", "--project", "b", "--json", **several).out)
    assert [key["app_id"] for key in only] == [second]
    assert run("keys", "revoke", first, "--yes", **several).code == 0
    assert first not in run("keys", "list", **several).out
    shown = run("keys", "list", "--all", **several).out
    assert first in shown
    assert "checkout [1]" in shown


def test_revoke(run: Run, settings: dict[str, str]) -> None:
    """Revoking wants a yes; a second time, or of an unknown id, it finds nothing to do."""
    app_id = created(run, settings)
    asked = run("keys", "revoke", app_id, **settings)
    assert (asked.code, asked.out) == (2, "")
    assert "never used, for good. Say --yes." in asked.err
    done = run("keys", "revoke", app_id, "--yes", **settings)
    assert (done.code, "within two seconds" in done.out) == (0, True)
    again = run("keys", "revoke", app_id, "--json", **settings)
    assert (again.code, json.loads(again.out)["changed"]) == (1, False)
    unknown = run("keys", "revoke", "key_\x1b[31m", **settings)
    assert unknown.code == 1
    assert "\x1b" not in unknown.err


def test_projection_away(run: Run, settings: dict[str, str], tmp_path: Path) -> None:
    """A database that does not answer: exit 3; none there yet: exit 1, and none is made."""
    away = {**settings, "PROJECTION": "postgresql://nobody@127.0.0.1:9/none"}
    assert run("keys", "list", **away).code == 3
    nowhere = {**settings, "PROJECTION": f"sqlite:///{tmp_path}/none.db"}
    assert run("keys", "create", "--name", "a", **nowhere).code == 1
    assert not (tmp_path / "none.db").exists()
