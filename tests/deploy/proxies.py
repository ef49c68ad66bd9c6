"""The reverse proxies of ``deploy/``, run before a service on this machine."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.deploy.files import CADDY, NGINX, run, tool
from tests.deploy.processes import Running, started
from tests.servers.kafka_node import free_port


@contextmanager
def nginx_before(behind: Running, folder: Path, *, allowed: bool) -> Iterator[Running]:
    """The nginx example, checked by itself first, in front of a running service."""
    nginx = tool("nginx", package="nginx-light")
    port, place = free_port(), folder / f"nginx-{allowed}"
    place.mkdir()
    make_certificate(place)
    site = NGINX.read_text(encoding="utf-8")
    changes = {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "127.0.0.1:8080": behind.url.removeprefix("http://"),
        "/etc/ssl/binmirror/": f"{place}/",
    }
    if allowed:
        changes["deny all;"] = "allow 127.0.0.1; deny all;"
    for old, new in changes.items():
        assert old in site
        site = site.replace(old, new)
    (place / "binmirror.conf").write_text(site, encoding="utf-8")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{kind}_temp_path {place}/{kind};" for kind in kinds)
    main = place / "nginx.conf"
    main.write_text(
        f"daemon off; pid {place}/pid; error_log {place}/error.log; events {{}}\n"
        f"http {{ access_log {place}/access.log; {temporary} include {place}/binmirror.conf; }}\n",
        encoding="utf-8",
    )
    command = [nginx, "-p", str(place), "-e", f"{place}/error.log", "-c", str(main)]
    assert "warn" not in run([*command, "-t"])
    with stopped_by_itself(command, {}, place, f"https://127.0.0.1:{port}") as running:
        yield running


@contextmanager
def caddy_before(behind: Running, folder: Path, *, allowed: bool) -> Iterator[Running]:
    """Caddy with the example in front of a running service, without certificates to ask for."""
    port, place = free_port(), folder / f"caddy-{allowed}"
    place.mkdir()
    site = CADDY.read_text(encoding="utf-8")
    if allowed:
        site = site.replace("path /webhooks/*\n", "path /webhooks/*\n\t\tremote_ip 127.0.0.1\n", 1)
    (place / "Caddyfile").write_text(site, encoding="utf-8")
    env = {
        "SITE_ADDRESS": f"http://127.0.0.1:{port}",
        "RECEIVERS": behind.url.removeprefix("http://"),
        "HOME": str(place),
    }
    command = [
        tool("caddy", package="caddy"),
        "run",
        "--adapter",
        "caddyfile",
        "--config",
        str(place / "Caddyfile"),
    ]
    with stopped_by_itself(command, env, place, f"http://127.0.0.1:{port}") as running:
        yield running


@contextmanager
def stopped_by_itself(
    command: Sequence[str], env: Mapping[str, str], place: Path, url: str
) -> Iterator[Running]:
    """A proxy, which is asked to end, so that it ends its own children."""
    with started(command, env, place, url, "proxy") as running:
        yield running
        running.stop()


def make_certificate(folder: Path) -> None:
    """A certificate of its own for the proxy."""
    openssl = tool("openssl", package="openssl")
    options = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=hooks.example.com"
    )
    files = ["-keyout", str(folder / "privkey.pem"), "-out", str(folder / "fullchain.pem")]
    run([openssl, *shlex.split(options), *files])
