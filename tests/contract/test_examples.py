"""The examples of the documents do what they say, against a running service."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.contract.documents import document_of, operations_of, whole
from tests.contract.live import example_environment, live_service
from tests.stack import Service

EXAMPLES: Final = Path(__file__).parents[2] / "docs" / "http-examples.md"


class Block(NamedTuple):
    """A fenced block under its heading."""

    heading: str
    language: str
    text: str


def blocks_of(document: Path) -> Iterator[Block]:
    heading = ""
    for part in re.split(
        r"^(### [^\n]*|```\w+\n.*?^```)$", document.read_text(), flags=re.MULTILINE | re.DOTALL
    ):
        if part.startswith("### "):
            heading = part[4:].strip("`")
        elif part.startswith("```"):
            language, _, text = part[3:].partition("\n")
            yield Block(heading, language, text.removesuffix("```"))


BLOCKS: Final = list(blocks_of(EXAMPLES))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service with every role."""
    with live_service(tmp_path_factory.mktemp("live")) as served:
        yield served


async def test_none_is_missing() -> None:
    """Every route has one command line and one program, under its own heading."""
    document = await document_of(whole())
    routes = {f"{method} {path}" for method, path, _ in operations_of(document)}
    assert {block.heading for block in BLOCKS} == routes
    assert len(BLOCKS) == 2 * len(routes)
    for route in routes:
        assert [block.language for block in BLOCKS if block.heading == route] == ["bash", "python"], route


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.heading} {block.language}")
def test_runs(block: Block, service: Service, tmp_path: Path) -> None:
    """An example asks the route that it stands under, and ends well."""
    path = block.heading.partition(" ")[2]
    fixed = max(re.split(r"\{\w+\}", path), key=len)
    assert fixed.rstrip("/") in block.text
    command = ["bash", "-euo", "pipefail", "-c"] if block.language == "bash" else [sys.executable, "-c"]
    done = subprocess.run(
        [*command, block.text],
        env=example_environment(service),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
