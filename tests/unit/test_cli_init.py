"""``binmirror init`` writes settings that load, and says what is next."""

import json
import stat
from pathlib import Path

import pytest

from consumer.settings import load_settings
from tests.unit.test_cli import Run, run

__all__ = ["run"]  # a fixture

SECRETS = [
    "plain",
    "with space",
    "quote'quote",
    'double"',
    "back\\slash",
    "$HOME",
    "#hash",
    "=",
    "[list",
    "ünï",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_init_writes_settings_that_load(run: Run, secret: str) -> None:
    """What init writes is read back as it was given, for its owner alone, with fresh credentials."""
    assert run("init", "--secret", secret).code == 0
    assert stat.S_IMODE(Path(".env").stat().st_mode) == 0o600
    settings = load_settings()
    settings.require(["receiver", "worker", "api"])
    (project,) = settings.resolved_projects().values()
    assert project.webhook_secrets == (secret.encode(),)
    token = project.api_app_token
    assert run("init", "--secret", secret, "--force").code == 0
    assert load_settings().resolved_projects()["default"].api_app_token != token


def test_init_says_what_is_next_and_no_secret(run: Run) -> None:
    """The next steps are said; neither the secret nor the token is shown."""
    result = run("init", "--secret", "hunter2")
    assert "binmirror serve" in result.err
    assert "/webhooks/voucherify" in result.err
    token = load_settings().api_app_token
    assert token is not None
    assert "hunter2" not in result.out + result.err
    assert token.get_secret_value() not in result.out + result.err


def test_init_names_the_url_to_enter(run: Run) -> None:
    """With the public address, the next steps and later ``status`` name the URL to enter in Voucherify."""
    result = run("init", "--secret", "x", "--public-url", "https://hooks.example.com/in/")
    assert "https://hooks.example.com/in/webhooks/voucherify as the URL" in result.err
    assert load_settings().public_url == "https://hooks.example.com/in"
    assert "https://hooks.example.com/in/webhooks/voucherify" in run("status").out
    assert run("init", "--secret", "x", "--public-url", "hooks.example.com", "--force").code == 2


def test_status_names_a_url_for_each_project(run: Run) -> None:
    """Of several projects each has a path of its own."""
    projects = json.dumps({name: {"webhook_secrets": name} for name in ("eu", "us")})
    result = run("status", "--json", PROJECTS=projects, PUBLIC_URL="https://h")
    assert json.loads(result.out)["webhook_urls"] == {
        "eu": "https://h/webhooks/voucherify/eu",
        "us": "https://h/webhooks/voucherify/us",
    }


def test_init_without_a_secret(run: Run) -> None:
    """Without a terminal to ask at, the file says where the secret belongs, and so does the message."""
    result = run("init", "--file", "later.env")
    assert result.code == 0
    assert "Set BINMIRROR_WEBHOOK_SECRETS" in result.err
    assert "# BINMIRROR_WEBHOOK_SECRETS=" in Path("later.env").read_text()


def test_init_does_not_overwrite(run: Run) -> None:
    """A file that is there stays as it is, unless --force."""
    Path(".env").write_text("BINMIRROR_PORT=1")
    result = run("init", "--secret", "x")
    assert result.code == 1
    assert "--force" in result.err
    assert Path(".env").read_text() == "BINMIRROR_PORT=1"


@pytest.mark.parametrize("where", ["missing/.env", "."])
def test_init_where_nothing_can_be_written(run: Run, where: str) -> None:
    """A place that cannot be written is said in words; nothing is left there."""
    result = run("init", "--secret", "x", "--file", where, "--force")
    assert result.code == 2
    assert "cannot be written" in result.err
    assert not list(Path().iterdir())
