"""The versions of binmirror and of what it stands on."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from consumer.eventlog.sqlite_files import SQLITE_VERSION

_SHOWN: Final = ("aiokafka", "psycopg", "sqlalchemy", "pydantic", "uvicorn")


def own_version() -> str:
    """Our own version; ``unknown`` in a checkout that is not installed."""
    try:
        return version("binmirror")
    except PackageNotFoundError:
        return "unknown"


def versions() -> Mapping[str, str]:
    """Of everything that a report of a fault should name."""
    return {
        "binmirror": own_version(),
        "sqlite": SQLITE_VERSION,
        **{name: version(name) for name in _SHOWN},
    }
