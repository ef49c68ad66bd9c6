"""The commands of the files in ``deploy/``, run for real, with the proxies before them."""

import http.client
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from schemas.samples import voucher_deleted
from tests.deploy.brokers import compose_brokers, replaced
from tests.deploy.files import (
    COMPOSE_FILES,
    UNITS,
    example_env,
    final_stage,
    own_services,
    read_env,
    run,
    unit_command,
    unit_values,
)
from tests.deploy.processes import BINMIRROR, SHOWN, Running, service
from tests.deploy.proxies import caddy_before, nginx_before
from tests.stack import APP_ID, APP_TOKEN, SECRET, clean_env, deliver, in_bin


@pytest.fixture
def one_machine(tmp_path: Path) -> Iterator[Running]:
    """The service as the unit starts it, with the settings file that ``binmirror init`` makes."""
    settings = tmp_path / "binmirror.env"
    run([*BINMIRROR, "init", "--secret", SECRET.decode(), "--file", str(settings)], env=clean_env())
    environment = dict(value.split("=", 1) for value in unit_values(UNITS[0], "Environment"))
    environment |= read_env(settings)
    environment |= {"BINMIRROR_API_APP_ID": APP_ID, "BINMIRROR_API_APP_TOKEN": APP_TOKEN}
    state = tmp_path / "state"
    state.mkdir()
    with service(unit_command(UNITS[0]), environment, state, "unit") as running:
        yield running


async def test_the_unit_runs_the_whole_service(one_machine: Running) -> None:
    """Started as the unit says, a delivery ends in the bin, files lie in data/, SIGTERM ends it with 0."""
    await one_machine.answers("/health/ready")
    await send(one_machine.url, "v_unit")
    await in_bin(one_machine.url, ["v_unit"])
    data = one_machine.output.parent / "data"
    assert {"log.db", "bin.db"} <= {path.name for path in data.iterdir()}
    assert one_machine.stop() == 0


async def test_the_image_s_health_check_tells_ready_from_not(one_machine: Running) -> None:
    """The container's health check succeeds while the service is ready and fails when nobody answers."""
    await one_machine.answers("/health/ready")
    check = json.loads(dict(final_stage())["HEALTHCHECK"].partition(" CMD ")[2])
    command = [sys.executable, *check[1:]]
    env = {**clean_env(), "BINMIRROR_PORT": one_machine.url.rpartition(":")[2]}
    assert exit_code(command, env) == 0
    one_machine.stop()
    assert exit_code(command, env) != 0


async def test_nginx_lets_in_webhooks_and_nothing_else(one_machine: Running, tmp_path: Path) -> None:
    """Behind the nginx example a delivery from an allowed address is taken, from others refused, and
    neither API nor metrics are reachable, however the path is written.
    """
    await one_machine.answers("/health/ready")
    for allowed in (True, False):
        with nginx_before(one_machine, tmp_path, allowed=allowed) as proxy:
            await proxy.answers("/", 404)
            await check_proxy(proxy, allowed=allowed)


async def test_caddy_lets_in_webhooks_and_nothing_else(one_machine: Running, tmp_path: Path) -> None:
    """Behind the Caddy example a delivery from an allowed address is taken, from others refused, and
    neither API nor metrics are reachable, however the path is written.
    """
    await one_machine.answers("/health/ready")
    for allowed in (True, False):
        with caddy_before(one_machine, tmp_path, allowed=allowed) as proxy:
            await proxy.answers("/", 404)
            await check_proxy(proxy, allowed=allowed)


async def test_the_single_container_runs(tmp_path: Path) -> None:
    """The single container's command with its settings takes a delivery and shows it."""
    ((arguments, env),) = [commands(tmp_path, single) for single in own_services(COMPOSE_FILES[1]).values()]
    with service(arguments, env, tmp_path, "single") as running:
        await running.answers("/health/ready")
        await send(running.url, "v_single")
        await in_bin(running.url, ["v_single"])
        assert running.stop() == 0


@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.timeout(300)
async def test_the_cluster_s_commands_run(tmp_path: Path, kafka_packages: None, postgres_url: str) -> None:
    """With brokers as the compose file configures them, its one-shot commands prepare Kafka and PostgreSQL,
    more than once; its receiver, worker and API bring a delivery into the bin, each with its own settings.
    """
    del kafka_packages
    with compose_brokers(tmp_path) as moved:
        parts = {}
        for name, part in own_services(COMPOSE_FILES[0]).items():
            arguments, env = commands(tmp_path, part)
            if env["BINMIRROR_PROJECTION"].startswith("postgresql:"):
                env["BINMIRROR_PROJECTION"] = postgres_url
            parts[name] = (arguments, {variable: replaced(value, moved) for variable, value in env.items()})
        for name in ("migrate", "topics") * 2:
            arguments, env = parts[name]
            run([*BINMIRROR, *arguments], env={**clean_env(), **env}, cwd=tmp_path)
        with (
            service(*parts["receiver-1"], tmp_path, "receiver") as receiver,
            service(*parts["worker"], tmp_path, "worker") as worker,
            service(*parts["api"], tmp_path, "api") as api,
        ):
            for running in (receiver, worker, api):
                await running.answers("/health/ready")
            await send(receiver.url, "v_cluster")
            await in_bin(api.url, ["v_cluster"])
            for running in (receiver, worker, api):
                assert running.stop() == 0, running.output.read_text()[-SHOWN:]


def commands(folder: Path, part: Mapping[str, object]) -> tuple[list[str], dict[str, str]]:
    """A service's arguments and settings, its /data in ``folder``, credentials those of the tests."""
    arguments, environment = part["command"], part["environment"]
    assert isinstance(arguments, list)
    assert isinstance(environment, dict)
    env = {name: value.replace("/data/", f"{folder}/data/") for name, value in environment.items()}
    known = {
        "BINMIRROR_WEBHOOK_SECRETS": SECRET.decode(),
        "BINMIRROR_API_APP_ID": APP_ID,
        "BINMIRROR_API_APP_TOKEN": APP_TOKEN,
    }
    assert set(known) <= set(example_env())
    return arguments, env | {name: value for name, value in known.items() if name in env}


async def send(url: str, voucher_id: str) -> None:
    body = voucher_deleted(voucher_id=voucher_id, code=f"CODE-{voucher_id}", event_id=f"evvou_{voucher_id}")
    async with httpx.AsyncClient(base_url=url) as client:
        assert (await deliver(client, body)).status_code == 202


async def check_proxy(proxy: Running, *, allowed: bool) -> None:
    body = voucher_deleted(voucher_id="v_proxy", code="CODE", event_id="evvou_proxy")
    async with httpx.AsyncClient(base_url=proxy.url, verify=False, timeout=10) as client:  # noqa: S501 - a certificate made for this test
        taken = await deliver(client, body)
        assert taken.status_code == (202 if allowed else 403)
        forged = await deliver(client, body, secret=b"wrong")
        assert forged.status_code == (401 if allowed else 403)
        large = await client.post("/webhooks/voucherify", content=b"x" * 1_200_000)
        # A receiver refuses without reading on; Caddy, still sending, calls that a bad gateway.
        assert large.status_code in ({413, 502} if allowed else {403})
    host, port = proxy.url.rpartition("//")[2].split(":")
    for path in ("/metrics", "/health", "/health/ready", "/v1/trash-bin", "/webhooks/../metrics"):
        for written in (path, path.replace("..", "%2e%2e"), f"/{path}", path.replace("/", "//")):
            assert status_of(host, port, written, tls=proxy.url.startswith("https")) in {400, 401, 403, 404}


def status_of(host: str, port: str, path: str, *, tls: bool) -> int:
    """The status of a request whose path is sent as it stands."""
    if tls:
        context = ssl._create_unverified_context()  # noqa: S323 - a certificate made for this test
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, int(port), timeout=10, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
    with closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status


def exit_code(command: Sequence[str], env: Mapping[str, str]) -> int:
    return subprocess.run(command, env=env, check=False, timeout=60, capture_output=True).returncode
