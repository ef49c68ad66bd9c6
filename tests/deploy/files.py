"""Reads the files of ``deploy/`` as their tools would, and finds those tools."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CONTAINERFILE = DEPLOY / "Containerfile"
COMPOSE_FILES = (DEPLOY / "compose.yaml", DEPLOY / "compose.sqlite.yaml")
UNITS = (DEPLOY / "systemd/binmirror.service", DEPLOY / "systemd/binmirror@.service")
NGINX = DEPLOY / "nginx/binmirror.conf"
CADDY = DEPLOY / "caddy/Caddyfile"
INSTALLED = "/opt/binmirror/bin/binmirror"

_VARIABLE = re.compile(r"\$\{(\w+)(?::([?-])([^}]*))?\}")


def tool(*names: str, package: str) -> str:
    """The first of these programs that there is. Without any: a failure where CI is set, else said loudly."""
    for name in names:
        found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if found is not None:
            return found
    message = f"NOT CHECKED: none of {', '.join(names)} is installed (Debian: apt-get install {package})"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def compose_client() -> list[str]:
    """Compose as a plugin of the docker client, else as a program of its own."""
    docker = shutil.which("docker")
    if docker is not None:
        plugin = [docker, "compose"]
        if subprocess.run([*plugin, "version"], check=False, capture_output=True, timeout=60).returncode == 0:
            return plugin
    return [tool("docker-compose", package="docker-compose")]


def run(command: Sequence[str], **options: Any) -> str:
    """Run to the end, successfully; everything that it printed."""
    done = subprocess.run(
        command,
        check=False,
        text=True,
        timeout=60,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **options,
    )
    printed: str = done.stdout
    assert done.returncode == 0, f"{shlex.join(command)}\n{printed}"
    return printed


def example_env() -> dict[str, str]:
    """What ``.env.example`` sets."""
    return read_env(DEPLOY / ".env.example")


def read_env(path: Path) -> dict[str, str]:
    """A file of NAME=value lines."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value.strip("'") for name, _, value in pairs}


def services(path: Path) -> dict[str, Mapping[str, Any]]:
    """The services of a compose file, variables replaced by those of ``.env.example``."""
    values = example_env()

    def replaced(match: re.Match[str]) -> str:
        name, kind, default = match.groups()
        assert name in values, f"{path.name} uses {name}, which .env.example does not explain"
        return values[name] or (default if kind == "-" else "")

    document = yaml.safe_load(_VARIABLE.sub(replaced, path.read_text(encoding="utf-8")))
    found: dict[str, Mapping[str, Any]] = document["services"]
    return found


def own_services(path: Path) -> dict[str, Mapping[str, Any]]:
    """Those services that run binmirror, with the image's own variables under theirs."""
    image = image_env()
    return {
        name: {**service, "environment": {**image, **set_by(service)}}
        for name, service in services(path).items()
        if service["image"] == "binmirror"
    }


def set_by(service: Mapping[str, Any]) -> dict[str, str]:
    """A service's variables; YAML has None for an empty one."""
    return {name: value or "" for name, value in service["environment"].items()}


def instructions() -> list[tuple[str, str]]:
    """The Containerfile's instructions with their arguments, continued lines joined, without comments."""
    text = re.sub(r"^#.*\n", "", CONTAINERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines if line)]


def final_stage() -> list[tuple[str, str]]:
    """The instructions of the stage that becomes the image."""
    found = instructions()
    last = max(index for index, (name, _) in enumerate(found) if name == "FROM")
    return found[last:]


def image_env() -> dict[str, str]:
    """The settings that the image brings."""
    pairs = (pair.partition("=") for name, rest in final_stage() if name == "ENV" for pair in rest.split())
    return {name: value for name, _, value in pairs if name.startswith("BINMIRROR_")}


def unit_values(path: Path, key: str) -> list[str]:
    """All values of ``key`` in a unit file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{key}=")]


def unit_command(path: Path) -> list[str]:
    """The arguments with which the unit starts binmirror, without the program."""
    (command,) = unit_values(path, "ExecStart")
    program, *arguments = shlex.split(command)
    assert program == INSTALLED
    return arguments


def documented_commands(path: Path) -> Iterator[list[str]]:
    """The arguments of every binmirror command in the code blocks of a page."""
    text = path.read_text(encoding="utf-8")
    for block in re.findall(r"^```(?:sh|console)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            for index, word in enumerate(words):
                inside = word == "binmirror" and (index == 0 or words[max(index - 2, 0)] == "exec")
                if word == INSTALLED or inside:
                    yield words[index + 1 :]
