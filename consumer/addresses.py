"""Addresses of the event log, the projection and Voucherify's API, as written in the settings.

Parsed, never opened, here.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import SecretStr

_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:([0-9]{1,5}))?")
_SOCKET_PATH_BYTES: Final = 107
_MAX_PORT: Final = 65_535

_HTTP: Final = ("https://", "http://")
VOUCHERIFY_CLUSTERS: Final = ("api", "us1.api", "as1.api")
"""The clusters of Voucherify's API by name; ``api`` is the European one."""


@dataclass(frozen=True, slots=True)
class SqliteAddress:
    """A file: ``sqlite:///relative/path.db`` or ``sqlite:////absolute/path.db``."""

    path: Path

    def __str__(self) -> str:
        return f"sqlite:///{self.path}"


@dataclass(frozen=True, slots=True)
class KafkaAddress:
    """A topic of a cluster: ``kafka://host:port[,host:port…]/topic``."""

    servers: tuple[str, ...]
    topic: str

    def __str__(self) -> str:
        return f"kafka://{','.join(self.servers)}/{self.topic}"


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """A database: ``postgresql://user:password@host:port/name`` or ``postgresql:///name?host=/directory``."""

    url: SecretStr
    """In full, password included."""
    shown: str
    """Without user, password and parameters other than the host."""

    def __str__(self) -> str:
        return self.shown


EventLogAddress: TypeAlias = SqliteAddress | KafkaAddress
ProjectionAddress: TypeAlias = SqliteAddress | PostgresAddress


def parse_event_log(text: str) -> EventLogAddress:
    """``sqlite:///…`` or ``kafka://…``. Raises ValueError, whose text never repeats credentials."""
    if text.startswith("sqlite:"):
        return parse_sqlite(text)
    if text.startswith("kafka://"):
        return _parse_kafka(text)
    raise ValueError("is neither a sqlite:/// nor a kafka:// address")


def parse_entries_topic(text: str) -> KafkaAddress:
    """``kafka://…``. Raises ValueError, whose text never repeats credentials."""
    if not text.startswith("kafka://"):
        raise ValueError("is no kafka:// address")
    return _parse_kafka(text)


def parse_projection(text: str) -> ProjectionAddress:
    """``sqlite:///…`` or ``postgresql://…``. Raises ValueError, whose text never repeats credentials."""
    if text.startswith("sqlite:"):
        return parse_sqlite(text)
    if text.startswith(("postgresql://", "postgres://")):
        return _parse_postgres(text)
    raise ValueError("is neither a sqlite:/// nor a postgresql:// address")


def parse_sqlite(text: str) -> SqliteAddress:
    """``sqlite:///path``. Raises ValueError."""
    path = text.removeprefix("sqlite:///")
    if path == text:
        raise ValueError("needs three slashes before a relative path and four before an absolute one")
    if not path or path.endswith("/") or path == ":memory:":
        raise ValueError("names no file; a database in memory would not be durable")
    if "?" in path or "#" in path or "\0" in path:
        raise ValueError("takes no parameters after the file's path")
    return SqliteAddress(Path(path))


def _parse_kafka(text: str) -> KafkaAddress:
    servers, slash, topic = text.removeprefix("kafka://").partition("/")
    if "@" in servers:
        raise ValueError("must not hold credentials; they belong in KAFKA_USER and KAFKA_PASSWORD")
    if not slash or not topic:
        raise ValueError("names no topic after the servers")
    if not _TOPIC.fullmatch(topic) or topic in {".", ".."}:
        raise ValueError("has a topic that is not made of letters, digits, '.', '_' and '-'")
    found = tuple(server.strip() for server in servers.split(","))
    for server in found:
        _check_host(server, needs_port=True)
    return KafkaAddress(found, topic)


def _check_host(host: str, *, needs_port: bool) -> None:
    match = _HOST.fullmatch(host)
    if match is None:
        raise ValueError("has a server that is not host:port")
    if match[3] is None and needs_port:
        raise ValueError("has a server without a port")
    if match[3] is not None and not 0 < int(match[3]) <= _MAX_PORT:
        raise ValueError(f"has a port that is not between 1 and {_MAX_PORT}")


def _parse_postgres(text: str) -> PostgresAddress:
    rest, _, query = text.partition("://")[2].partition("?")
    authority, _, database = rest.partition("/")
    hosts = authority.rpartition("@")[2]
    if not database or "/" in database:
        raise ValueError("names no database after the host")
    if any(character.isspace() for character in text) or "#" in text:
        raise ValueError("holds a character that must be percent-encoded")
    try:
        parameters = dict(parse_qsl(query, strict_parsing=True)) if query else {}
    except ValueError:
        raise ValueError("has parameters that are not name=value pairs joined by &") from None
    if hosts and not _is_socket(unquote(hosts)):
        for host in hosts.split(","):
            _check_host(host, needs_port=False)
    socket = parameters.get("host") or unquote(hosts)
    if _is_socket(socket) and len(f"{socket}/.s.PGSQL.5432".encode()) > _SOCKET_PATH_BYTES:
        raise ValueError("has a socket directory whose path is too long for a Unix socket")
    place = f"?host={parameters['host']}" if "host" in parameters else ""
    return PostgresAddress(
        url=SecretStr("postgresql://" + text.partition("://")[2]),
        shown=f"postgresql://{hosts}/{database}{place}",
    )


def _is_socket(host: str) -> bool:
    return host.startswith("/")


def parse_voucherify(text: str) -> str:
    """The address of Voucherify's API, without a slash at its end, from a cluster's name or an address.

    Raises:
        ValueError: neither; its text never repeats credentials.

    """
    if text in VOUCHERIFY_CLUSTERS:
        return f"https://{text}.voucherify.io"
    if not text.startswith(_HTTP):
        raise ValueError(f"is neither a cluster ({', '.join(VOUCHERIFY_CLUSTERS)}) nor an https:// address")
    _check_http(text, hint="; they belong in VOUCHERIFY_APP_ID and _APP_TOKEN")
    return text.rstrip("/").removesuffix("/v1")


def parse_public_url(text: str) -> str:
    """The address under which others reach us, without a slash at its end.

    Raises:
        ValueError: none; its text never repeats credentials.

    """
    if not text.startswith(_HTTP):
        raise ValueError("is no https:// address")
    _check_http(text)
    return text.rstrip("/")


def _check_http(text: str, *, hint: str = "") -> None:
    """``hint``: where credentials belong that stand in it."""
    if any(character.isspace() or not character.isprintable() for character in text) or "#" in text:
        raise ValueError("holds a character that must be percent-encoded")
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError("is not an address: its host or port is malformed") from None
    if "@" in parts.netloc:
        raise ValueError(f"must not hold credentials{hint}")
    if not parts.hostname:
        raise ValueError("names no host")
    if parts.query or "?" in text:
        raise ValueError("takes no parameters")
