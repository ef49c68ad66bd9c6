"""The examples of docs/changes.md do what they say."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.projection_kit import Said, eventually
from tests.unit.followkit import Followed, followed
from tests.unit.webkit import CREDENTIALS

DOCS = Path(__file__).parent.parent.parent / "docs"
APP_ID, APP_TOKEN = CREDENTIALS.values()


def examples(document: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / document).read_text(), re.DOTALL)


@pytest.fixture
async def mirror(tmp_path: Path) -> AsyncIterator[Followed]:
    async with followed(tmp_path) as made:
        await made.push(*(Said(f"e{n}", resource_id=f"v{n}", name=f"CODE-{n}") for n in range(3)))
        yield made


async def run(mirror: Followed, *command: str) -> str:
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        env={
            **os.environ,
            "BINMIRROR_URL": f"http://127.0.0.1:{mirror.port}",
            "APP_ID": APP_ID,
            "APP_TOKEN": APP_TOKEN,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_pages_in_python(mirror: Followed) -> None:
    """The first example ends with a copy of the bin."""
    page, _ = examples("changes.md", "python")
    told = await run(mirror, sys.executable, "-c", f"{page}\nprint(sorted(copy))")
    assert told.strip() == str([("voucher", f"v{n}") for n in range(3)])


async def test_the_stream_in_python(mirror: Followed) -> None:
    """The second example prints what changes, until the service stops."""
    _, stream = examples("changes.md", "python")
    printing = asyncio.create_task(run(mirror, sys.executable, "-c", stream))

    async def is_open() -> bool:
        return mirror.sample("changes_told_total", how="stream") >= 3

    await eventually(is_open)
    await mirror.push(Said("x", "purged", resource_id="v1", occurred=5))

    async def is_told() -> bool:
        return mirror.sample("changes_told_total", how="stream") >= 4

    await eventually(is_told)
    mirror.stop.set()
    assert (await printing).splitlines() == [
        *(f"voucher v{n} deleted" for n in range(3)),
        "voucher v1 purged",
    ]


async def test_pages_with_curl(mirror: Followed) -> None:
    """Copied into a shell, the first one answers."""
    assert "CODE-0" in await run(mirror, "sh", "-c", examples("changes.md", "sh")[0])


async def test_the_stream_with_curl(mirror: Followed) -> None:
    """Copied into a shell, it shows the stream until the service stops."""
    showing = asyncio.create_task(run(mirror, "sh", "-c", examples("changes.md", "sh")[1]))

    async def is_open() -> bool:
        return mirror.sample("change_streams") == 1

    await eventually(is_open)
    mirror.stop.set()
    assert (await showing).startswith(": changes of the bin")
