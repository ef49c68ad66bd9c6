"""What can be known of the files in ``deploy/`` without running them."""

import re
from pathlib import Path

import pytest
import typer

from consumer.cli.app import app
from consumer.errors import SettingsError
from consumer.settings import PREFIX, Settings, load_settings
from consumer.types import Role
from tests.deploy.files import (
    CADDY,
    COMPOSE_FILES,
    CONTAINERFILE,
    DEPLOY,
    INSTALLED,
    NGINX,
    ROOT,
    UNITS,
    compose_client,
    documented_commands,
    example_env,
    final_stage,
    instructions,
    own_services,
    run,
    services,
    tool,
    unit_command,
    unit_values,
)
from tests.stack import clean_env

PAGE = ROOT / "docs/deploy.md"
EVERYTHING = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
VOUCHERIFY = {
    *("34.247.197.22", "63.32.191.141", "52.215.148.84"),
    *("100.25.106.67", "18.209.236.215", "34.192.255.99"),
    *("52.76.98.82", "54.169.8.101", "13.214.87.160"),
}
SENDER_WAITS = 10.0


@pytest.mark.parametrize("path", [*EVERYTHING, PAGE], ids=lambda path: path.name)
def test_every_setting_named_exists(path: Path) -> None:
    """Every BINMIRROR_ variable in the files and in the page about them is a setting."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    named = set(re.findall(rf"\b{PREFIX}[A-Z0-9_]*[A-Z0-9]\b", path.read_text(encoding="utf-8")))
    assert named - {"BINMIRROR_KAFKA"} <= known


@pytest.mark.parametrize("path", COMPOSE_FILES, ids=lambda path: path.name)
def test_compose_accepts_its_file(path: Path) -> None:
    """A compose client accepts the file with the example's variables."""
    env_file = str(DEPLOY / ".env.example")
    run([*compose_client(), "--env-file", env_file, "--file", str(path), "config", "--quiet"])


@pytest.mark.parametrize("path", COMPOSE_FILES, ids=lambda path: path.name)
def test_services_have_all_the_settings_that_they_need(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the compose file sets for a service is valid, and complete for its roles."""
    for name, service in own_services(path).items():
        with monkeypatch.context() as patch:
            for variable, value in service["environment"].items():
                patch.setenv(variable, value)
            settings = load_settings(env_file=Path("there-is-none"))
            settings.require(roles_of(service["command"]))
        port = settings.port
        published = [mapping.rpartition(":")[2] for mapping in service.get("ports", [])]
        assert published in ([], [str(port)]), name


@pytest.mark.parametrize("path", COMPOSE_FILES, ids=lambda path: path.name)
def test_containers_have_no_rights_to_lose(path: Path) -> None:
    """Every container drops all capabilities, gains no privileges, and ours write to their volumes alone."""
    for name, service in services(path).items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service, name
        if service["image"] in {"binmirror", "caddy:2"}:
            assert service["read_only"] is True, name


@pytest.mark.parametrize("path", COMPOSE_FILES, ids=lambda path: path.name)
def test_only_the_proxy_is_reachable_from_outside(path: Path) -> None:
    """All published ports but the proxy's are bound to the machine itself."""
    for name, service in services(path).items():
        for mapping in service.get("ports", []):
            assert name == "proxy" or mapping.startswith("127.0.0.1:"), f"{name} {mapping}"


def test_what_was_promised_lies_on_named_volumes() -> None:
    """Spool, SQLite files, Kafka's and PostgreSQL's data are on named volumes."""
    cluster, single = (services(path) for path in COMPOSE_FILES)
    expected = {
        **{f"kafka-{number}": f"kafka-{number}:/var/lib/kafka/data" for number in (1, 2, 3)},
        "postgres": "postgres:/var/lib/postgresql",
        "receiver-1": "spool:/data",
        "receiver-2": "spool:/data",
    }
    for name, volume in expected.items():
        assert cluster[name]["volumes"] == [volume]
    assert single["binmirror"]["volumes"] == ["data:/data"]
    for variable, setting in own_services(COMPOSE_FILES[1])["binmirror"]["environment"].items():
        if variable in {"BINMIRROR_EVENT_LOG", "BINMIRROR_PROJECTION"}:
            assert setting.startswith("sqlite:////data/")
    assert own_services(COMPOSE_FILES[0])["receiver-1"]["environment"]["BINMIRROR_SPOOL"].startswith("/data/")


def test_services_have_time_to_stop() -> None:
    """Containers and units are killed only well after the service's own deadline for stopping."""
    needed = 2 * Settings.model_fields["shutdown_deadline"].default
    for path in COMPOSE_FILES:
        for name, service in own_services(path).items():
            assert float(service["stop_grace_period"].removesuffix("s")) >= needed, name
    for path in UNITS:
        (timeout,) = unit_values(path, "TimeoutStopSec")
        assert float(timeout) >= needed


def test_the_image_is_made_of_files_that_exist() -> None:
    """Every file that the Containerfile copies exists, and the ignore file lets it through."""
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for name, rest in instructions():
        if name == "COPY" and "--from" not in rest:
            for source in rest.split()[:-1]:
                plain = source.removeprefix("./")
                assert (ROOT / plain).exists(), source
                assert f"!{plain}" in allowed, source


def test_the_image_installs_hashed_wheels_only() -> None:
    """Packages are installed with hashes and as wheels, our own without looking anywhere."""
    installs = [rest for name, rest in instructions() if name == "RUN" and '"install"' in rest]
    assert len(installs) == 2
    assert all(option in installs[0] for option in ('"--require-hashes"', '"--only-binary", ":all:"'))
    assert all(option in installs[1] for option in ('"--no-index"', '"--no-deps"', '"--no-build-isolation"'))
    requirements = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    pinned = re.findall(r"^[a-z0-9][^\n]*==", requirements, flags=re.MULTILINE)
    assert len(pinned) == len(re.findall(r"==[^\n]*\\\n\s+--hash=sha256:", requirements))


def test_the_image_is_bare() -> None:
    """The final stage has no build tools, a fixed user that is not root, and says how to stop and ask it."""
    stage = final_stage()
    found = dict(stage)
    assert found["USER"] == "10001:10001"
    assert found["VOLUME"] == "/data"
    assert found["STOPSIGNAL"] == "SIGTERM"
    assert found["ENTRYPOINT"] == '["binmirror"]'
    assert "/health/ready" in found["HEALTHCHECK"]
    assert not any("apt-get" in rest or '"install"' in rest for _, rest in stage)
    assert "pip uninstall" in found["RUN"]
    assert [name for name, _ in stage].index("USER") > [name for name, _ in stage].index("RUN")
    assert ":latest" not in CONTAINERFILE.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_accepts_the_unit_and_finds_it_hardened(path: Path, tmp_path: Path) -> None:
    """``systemd-analyze`` verifies the unit without a word and rates its exposure below 2 of 10."""
    analyze = tool("systemd-analyze", package="systemd")
    script = tmp_path / "binmirror"  # stands for the installed program, which the check looks for
    script.write_text("#!/bin/sh\n", encoding="utf-8")
    script.chmod(0o755)
    unit = tmp_path / path.name
    unit.write_text(path.read_text(encoding="utf-8").replace(INSTALLED, str(script)), encoding="utf-8")
    assert run([analyze, "verify", str(unit)]) == ""
    rating = run([analyze, "security", "--offline=true", "--no-pager", str(unit)])
    (exposure,) = re.findall(r"exposure level for .*: ([0-9.]+)", rating)
    assert float(exposure) < 2


def test_caddy_accepts_its_file() -> None:
    """Caddy finds its configuration valid."""
    caddy = tool("caddy", package="caddy")
    env = {**clean_env(), "SITE_ADDRESS": "hooks.example.com", "RECEIVERS": "receiver-1:8080 receiver-2:8080"}
    run([caddy, "validate", "--adapter", "caddyfile", "--config", str(CADDY)], env=env)


@pytest.mark.parametrize("path", [NGINX, CADDY], ids=lambda path: path.name)
def test_proxies_let_in_voucherify_alone(path: Path) -> None:
    """The allow lists hold exactly the addresses that Voucherify publishes."""
    lines = re.findall(r"^\s*(?:allow|remote_ip) ([^;\n]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(" ".join(lines).split()) == VOUCHERIFY


def test_proxies_answer_while_the_sender_listens() -> None:
    """A proxy's timeouts, all run out one after the other, stay below Voucherify's ten seconds,
    and leave a receiver the time for its spool.
    """
    deadline = Settings.model_fields["publish_deadline"].default
    nginx, caddy = (path.read_text(encoding="utf-8") for path in (NGINX, CADDY))
    of_nginx = (
        *("client_header_timeout", "client_body_timeout", "proxy_next_upstream_timeout"),
        *("proxy_connect_timeout", "proxy_send_timeout", "proxy_read_timeout"),
    )
    assert sum(seconds(nginx, name) for name in of_nginx) < SENDER_WAITS
    assert seconds(nginx, "proxy_read_timeout") > deadline
    of_caddy = ("read_body", "lb_try_duration", "dial_timeout", "response_header_timeout")
    assert sum(seconds(caddy, name) for name in of_caddy) < SENDER_WAITS
    assert seconds(caddy, "response_header_timeout") > deadline


@pytest.mark.parametrize("path", [NGINX, CADDY], ids=lambda path: path.name)
def test_proxies_leave_large_bodies_to_the_service(path: Path) -> None:
    """The proxies' limits lie above the service's own, which counts and logs what it refuses."""
    found = re.findall(r"(?:client_max_body_size|max_size) (\d+)(?:m;|MB)", path.read_text(encoding="utf-8"))
    (megabytes,) = found
    assert int(megabytes) * 1_000_000 > Settings.model_fields["max_body_bytes"].default


def test_every_command_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The real command line takes every command of the files and the page, up to reading its settings."""
    commands = [service["command"] for path in COMPOSE_FILES for service in own_services(path).values()]
    commands += [unit_command(UNITS[0]), ["serve"]]
    commands += [
        [word.replace("%i", role) for word in unit_command(UNITS[1])] for role in ("receiver", "api")
    ]
    documented = list(documented_commands(PAGE))
    assert len(documented) > 3
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BINMIRROR_PORT", "wrong")
    for command in [*commands, *(found for found in documented if found[0] != "init")]:
        with pytest.raises(SettingsError, match=r"^PORT"):
            app(command, prog_name="binmirror", standalone_mode=False)
    with pytest.raises(typer.BadParameter):
        app(["serve", "--role", "nonsense"], prog_name="binmirror", standalone_mode=False)


def test_the_example_explains_every_variable() -> None:
    """The compose files use every variable of ``.env.example``; what they need, it has."""
    text = "".join(path.read_text(encoding="utf-8") for path in COMPOSE_FILES)
    assert {name for name in example_env() if f"${{{name}" not in text} == set()


def roles_of(command: list[str]) -> list[Role]:
    if command[0] != "serve":
        return []
    named = [word for word in command[1:] if word != "--role"]
    roles: tuple[Role, ...] = ("receiver", "worker", "api")
    return [role for role in roles if role in named] or list(roles)


def seconds(text: str, name: str) -> float:
    ((number, unit),) = re.findall(rf"^\s*{name}\s+([0-9.]+)(ms|s)\b", text, flags=re.MULTILINE)
    return float(number) / (1000 if unit == "ms" else 1)
