"""What several modules here start with: clients of a fake Voucherify, and an API with created keys."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from shutil import copy

import pytest

from tests.unit.binkit import filled, vouchers
from tests.unit.keykit import Keyed, keyed
from tests.unit.voucherify_kit import Kit, kits


@pytest.fixture(scope="module")
def new_kit() -> Iterator[Callable[[], Kit]]:
    with kits() as new:
        yield new


@pytest.fixture
def at(new_kit: Callable[[], Kit]) -> Kit:
    """A new fake Voucherify, empty."""
    return new_kit()


@pytest.fixture(scope="module")
def bin_of_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bin_of_two")
    filled(folder, vouchers(2))
    return folder / "bin.db"


@pytest.fixture
async def api(bin_of_two: Path, tmp_path: Path) -> AsyncIterator[Keyed]:
    """An API over a bin of two vouchers; see ``keykit``."""
    copy(bin_of_two, tmp_path / "bin.db")
    async with keyed(f"sqlite:///{tmp_path}/bin.db") as made:
        yield made
