"""The process's tasks: which ends are failures."""

import asyncio
import io

import pytest

from consumer.bootstrap.tasks import Tasks
from consumer.log import Output, create_log


@pytest.fixture
def tasks() -> Tasks:
    """Those of a process."""
    return Tasks(asyncio.Event(), create_log(Output(io.BytesIO()), level="critical", console=False))


async def ends() -> None:
    """A task that is done."""


async def fails() -> None:
    raise LookupError("gone")


async def test_an_end_that_nobody_asked_for(tasks: Tasks) -> None:
    """One that should go on for ever and ends stops the process, as a failure."""
    await asyncio.wait({tasks.start("worker", ends())})
    await asyncio.sleep(0)
    assert (tasks.failure, tasks._stop.is_set()) == ("worker", True)


async def test_a_failure(tasks: Tasks) -> None:
    """One that fails stops the process, whether or not it may end; the first one is named."""
    await asyncio.wait({tasks.start("topic", fails(), endless=False)})
    await asyncio.wait({tasks.start("worker", fails())})
    await asyncio.sleep(0)
    assert (tasks.failure, tasks._stop.is_set()) == ("topic", True)


async def test_ends_that_are_none(tasks: Tasks) -> None:
    """One that may end does, and after the stop all may."""
    await asyncio.wait({tasks.start("topic", ends(), endless=False)})
    await asyncio.sleep(0)
    assert (tasks.failure, tasks._stop.is_set()) == (None, False)
    tasks._stop.set()
    await asyncio.wait({tasks.start("worker", ends())})
    await asyncio.sleep(0)
    assert tasks.failure is None
