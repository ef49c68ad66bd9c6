"""The examples of the documents do what they say, against a running service."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import httpx
import pytest
from pydantic import BaseModel

from schemas.bin_entry import BinEntry
from schemas.changes import ChangesView
from schemas.lookups import LookupView
from tests.contract.documents import document_of, operations_of, whole
from tests.contract.live import example_environment, live_service
from tests.stack import CREDENTIALS, Service

DOCS: Final = Path(__file__).parents[2] / "docs"
TOLD: Final = ("lookups.md", "entries-and-events.md", "freshness.md", "keys.md")
"""Documents whose examples stand beside what they explain, in their order."""


class Block(NamedTuple):
    """A fenced block under its heading."""

    heading: str
    language: str
    text: str


def blocks_of(document: str) -> Iterator[Block]:
    heading = ""
    for part in re.split(
        r"^(#{2,3} [^\n]*|```\w+\n.*?^```)$", (DOCS / document).read_text(), flags=re.MULTILINE | re.DOTALL
    ):
        if part.startswith("##"):
            heading = part.lstrip("#").strip(" `")
        elif part.startswith("```"):
            language, _, text = part[3:].partition("\n")
            yield Block(heading, language, text.removesuffix("```"))


BLOCKS: Final = list(blocks_of("http-examples.md"))


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


def run(block: Block, environment: Mapping[str, str], folder: Path) -> str:
    """What an example prints. It has to end well."""
    shell = ["bash", "-euo", "pipefail", "-c"]
    command = [sys.executable, "-c"] if block.language == "python" else shell
    done = subprocess.run(
        [*command, block.text],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.heading} {block.language}")
def test_runs(block: Block, service: Service, tmp_path: Path) -> None:
    """An example asks the route that it stands under, and ends well."""
    path = block.heading.partition(" ")[2]
    fixed = max(re.split(r"\{\w+\}", path), key=len)
    assert fixed.rstrip("/") in block.text
    run(block, example_environment(service), tmp_path)


@pytest.mark.parametrize("document", TOLD)
def test_a_document(document: str, service: Service, tmp_path: Path) -> None:
    """What a document shows beside its explanations ends well too, in its order, and prints something."""
    with httpx.Client(base_url=service.url, headers=CREDENTIALS, timeout=10) as client:
        entry = client.get("/v1/trash-bin").raise_for_status().json()["data"][0]
        told = client.get(f"/mirror/v1/entries/{entry['id']}").raise_for_status().json()
    environment = {
        **example_environment(service),
        "ENTRY_ID": entry["id"],
        "EVENT_ID": told["events"][0]["id"],
    }
    examples = [block for block in blocks_of(document) if block.language in {"sh", "python"}]
    assert len(examples) > 1
    for block in examples:
        assert run(block, environment, tmp_path).strip(), block.text


def test_the_commands_of_keys(service: Service, tmp_path: Path) -> None:
    """The commands on keys print what their document says, but for the key itself."""
    (shown,) = (block.text for block in blocks_of("keys.md") if block.language == "console")
    (documented,) = set(re.findall(r"key_[0-9a-f]+", shown))
    environment, made = {**service.environment(), "PATH": example_environment(service)["PATH"]}, documented
    for part in shown.split("$ ")[1:]:
        command, *lines = part.strip().splitlines()
        said = run(Block("", "sh", f"{command.replace(documented, made)} 2>&1"), environment, tmp_path)
        if lines:
            made = re.findall(r"key_[0-9a-f]+", said)[0]
            first_words = [line.partition(": ")[0] for line in lines]
            assert [line.partition(": ")[0] for line in said.splitlines()] == first_words
            assert said.splitlines()[-1] == lines[-1]
    assert made != documented


@pytest.mark.parametrize(
    ("document", "model"), [("topic.md", BinEntry), ("lookups.md", LookupView), ("changes.md", ChangesView)]
)
def test_shown_bodies(document: str, model: type[BaseModel]) -> None:
    """A body that is shown has exactly the fields that are published."""
    shown = next(block.text for block in blocks_of(document) if block.language == "json")
    assert model.model_validate_json(shown).model_fields_set == set(model.model_fields)
