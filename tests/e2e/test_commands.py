"""The commands, as users type them, against a running service and after it."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from schemas.samples import voucher_deleted
from tests.servers.prefork import run
from tests.stack import CREDENTIALS, SECRET, Service, Stack, clean_env, client_of, deliver, in_bin, running


def binmirror(service: Service, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the service's settings."""
    env = {
        **clean_env(),
        **service.stack.env,
        "BINMIRROR_PORT": str(service.port),
        "BINMIRROR_WEBHOOK_SECRETS": "a-webhook-secret",
        **{f"BINMIRROR_{name}": value for name, value in settings.items()},
    }
    return run(arguments, env=env, cwd=service.stack.folder)


def status_of(service: Service) -> tuple[int, dict[str, Any]]:
    done = binmirror(service, "status", "--json")
    return done.returncode, json.loads(done.stdout)


async def test_a_user_s_first_hour(stack: Stack) -> None:
    """Send, look, find out why something failed; while the service runs and after it has stopped."""
    service = stack.service()
    with running(service):
        await service.ready()
        sent = binmirror(service, "send", "voucher.deleted", "--count", "30", "--json")
        assert sent.returncode == 0, sent.stderr
        lines = [json.loads(line) for line in sent.stdout.splitlines()]
        assert [line["status"] for line in lines[:-1]] == [202] * 30
        assert (lines[-1]["sent"], lines[-1]["accepted"]) == (30, 30)
        forged = binmirror(service, "send", "campaign.deleted", "--secret", "guessed")
        assert (forged.returncode, forged.stdout[:3]) == (1, "401")
        async with client_of(service.url) as client:
            await deliver(client, b'{"neither": "fish nor fowl"}')
            body = voucher_deleted(voucher_id="v_marker", code="MARKER", event_id="evvou_marker")
            await deliver(client, body)
        await in_bin(service.url, ["v_marker"])
        check_status(service, expected=1)
        assert service.stop() == 0
    check_status(service, expected=1)
    check_events(service)
    away = binmirror(service, "send")
    assert (away.returncode, away.stdout[:9]) == (3, "no answer")


def check_status(service: Service, *, expected: int) -> None:
    code, status = status_of(service)
    assert code == expected
    assert sum(row["end"] - row["start"] for row in status["partitions"]) == 32
    assert [row["lag"] for row in status["partitions"]] == [0] * len(status["partitions"])
    projection = status["projection"]
    assert projection["entries"] == [
        {"project": "default", "resource_type": "voucher", "state": "deleted", "count": 31}
    ]
    assert {(row["status"], row["count"]) for row in projection["events"]} == {("applied", 31), ("failed", 1)}
    assert projection["last_deliveries"]["default"].endswith("Z")
    assert projection["schema_version"] == projection["latest_schema_version"]
    assert status["away"] == status["stopped"] == {}


def check_events(service: Service) -> None:
    failed = binmirror(service, "events", "list", "--status", "failed")
    assert failed.returncode == 0
    assert "missing_envelope" in failed.stdout
    found = binmirror(service, "events", "list", "--type", "voucher.deleted", "--limit", "3", "--json")
    rows = json.loads(found.stdout)
    assert [row["type"] for row in rows] == ["voucher.deleted"] * 3
    assert rows[0]["event_id"] == "evvou_marker"
    shown = json.loads(binmirror(service, "events", "show", "evvou_marker", "--json").stdout)
    assert shown["body"]["data"]["voucher"]["code"] == "MARKER"


def sending_for_long(service: Service) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "consumer", "send", "--count", "1000", "--rate", "10", "--json"]
    return subprocess.Popen(
        [*command, "--to", service.url, "--secret", SECRET.decode()],
        env=clean_env(),
        cwd=service.stack.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def test_send_is_interrupted(sqlite_stack: Stack) -> None:
    """Ctrl-C ends a long run with what was sent so far, without a traceback."""
    service = sqlite_stack.service("receiver")
    with running(service):
        await service.live()
        with sending_for_long(service) as sending:
            assert sending.stdout is not None
            assert sending.stderr is not None
            first = await asyncio.to_thread(sending.stdout.readline)
            sending.send_signal(signal.SIGINT)
            rest, error = await asyncio.to_thread(sending.communicate)
        assert json.loads(first)["status"] == 202
        summary = json.loads(rest.splitlines()[-1])
        assert 1 <= summary["sent"] < 1000
        assert (sending.returncode, error) == (130, "")


async def test_events_that_are_not_there(sqlite_stack: Stack) -> None:
    """Finding nothing is exit code 1 and a sentence."""
    service = sqlite_stack.service("worker")
    with running(service):
        await service.ready()
        shown = binmirror(service, "events", "show", "evvou_nobody\x1b[31m")
        assert (shown.returncode, shown.stdout) == (1, "")
        assert "\x1b" not in shown.stderr
        listed = binmirror(service, "events", "list", "--channel", "NOWHERE", "--json")
        assert (listed.returncode, listed.stdout) == (1, "[]\n")


async def test_status_names_the_part_that_is_away(sqlite_stack: Stack) -> None:
    """With one part away, status shows the other and ends with 3."""
    service = sqlite_stack.service()
    with running(service):
        await service.ready()
        done = binmirror(service, "status", "--json", PROJECTION="postgresql://nobody@127.0.0.1:1/none")
        assert done.returncode == 3
        status = json.loads(done.stdout)
        assert status["projection"] is None
        assert list(status["away"]) == ["projection"]
        assert status["event_log"]["kind"] == "sqlite"


def test_status_before_the_first_start(sqlite_stack: Stack) -> None:
    """Looking makes nothing: without log and projection, status says who makes them."""
    done = binmirror(sqlite_stack.service(), "status")
    assert done.returncode == 1
    assert "there is no event log" in done.stderr
    assert "there is no projection" in done.stderr
    assert not list(sqlite_stack.folder.iterdir())


@pytest.mark.kafka
@pytest.mark.postgres
async def test_migrate_and_topics_create(server_stack: Stack) -> None:
    """Both say what they did, and may be repeated."""
    service = server_stack.service()
    done = binmirror(service, "migrate", "--json")
    assert (done.returncode, set(json.loads(done.stdout))) == (
        0,
        {"before", "after", "substring_index"},
    )
    server_stack.env["BINMIRROR_EVENT_LOG"] += "-made"
    missing = binmirror(service, "serve", API_APP_ID="i", API_APP_TOKEN="t")
    assert missing.returncode == 2
    assert "binmirror topics create" in missing.stderr
    for created in (True, False):
        done = binmirror(service, "topics", "create", "--json", KAFKA_REPLICATION_FACTOR="1")
        assert done.returncode == 0, done.stderr
        (result,) = json.loads(done.stdout)
        assert (result["created"], result["differences"]) == (created, [])
    with running(service):
        await service.ready()


@pytest.mark.kafka
@pytest.mark.postgres
def test_topic_that_takes_too_little(server_stack: Stack) -> None:
    """A body limit that the topic does not bear is refused before the first delivery."""
    done = binmirror(
        server_stack.service(), "serve", "--role", "receiver", "--role", "worker", MAX_BODY_BYTES="60000000"
    )
    assert done.returncode == 2
    assert "max.message.bytes" in done.stderr
    assert "MAX_BODY_BYTES" in done.stderr


async def test_credentials_for_health(sqlite_stack: Stack) -> None:
    """/health tells everything to holders of credentials, and nothing to others; no secret either way."""
    service = sqlite_stack.service()
    with running(service):
        await service.ready()
        async with client_of(service.url) as client:
            assert (await client.get("/health")).status_code == 401
            report = (await client.get("/health", headers=CREDENTIALS)).text
    assert {"receiver", "worker", "api"} == set(json.loads(report)["roles"])
    assert "secret" not in report
    assert "app-token" not in report + service.log.read_text()
    assert "a-webhook-secret" not in report + service.log.read_text()


def test_the_demo(tmp_path: Path) -> None:
    """The demo runs by itself, leaves nothing behind, and minds no setting of the user's."""
    done = subprocess.run(
        [sys.executable, "-m", "consumer", "demo"],
        env={**clean_env(), "BINMIRROR_PORT": "1", "BINMIRROR_EVENT_LOG": "kafka://nowhere:1/t"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUMMER-2026" in done.stdout
    assert "missing_envelope" in done.stdout
    assert "binmirror init" in done.stdout
    assert not list(tmp_path.iterdir())
