"""Whatever the mirror held, whatever fails on the way: reconciling makes it agree with Voucherify's bin."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumer.errors import BinmirrorError
from schemas.times import parse_time
from tests.fake_voucherify import faults
from tests.fake_voucherify.app import FakeVoucherify
from tests.fake_voucherify.bin import FakeEntry
from tests.fake_voucherify.faults import Asked
from tests.reconcile.kit import LONG_AGO, Mirror, entry, open_mirror, told, webhook

TYPES = ("voucher", "campaign", "product", "sku")
HERE = ("nothing", "deleted", "observed", "other name", "other id", "vanished", "purged", "deleted, observed")
FAULTS = {
    "none": None,
    "401": faults.status(401),
    "500": faults.status(500),
    "429": faults.status(429, {"Retry-After": "1"}),
    "html": faults.html(),
    "cut": faults.cut(),
    "truncated": faults.truncated(),
    "empty": faults.empty(),
    "repeating": faults.repeating(),
    "endless": faults.endless(),
    "bottomless": faults.bottomless(),
}
_examples = itertools.count()


class Resource(NamedTuple):
    here: str
    there: bool


class Attempt(NamedTuple):
    """A run that may meet a fault, and be killed after some requests."""

    mode: str
    fault: str
    times: int
    after: int
    killed_after: int | None


RESOURCES = st.lists(st.builds(Resource, st.sampled_from(HERE), st.booleans()), min_size=1, max_size=9)
ATTEMPTS = st.lists(
    st.builds(
        Attempt,
        st.sampled_from(["full", "incremental", "report"]),
        st.sampled_from(sorted(FAULTS)),
        st.integers(1, 9),
        st.integers(0, 4),
        st.none() | st.integers(0, 6),
    ),
    max_size=3,
)


@pytest.fixture
async def opened(address: str, tmp_path: Path) -> AsyncIterator[Mirror]:
    async with open_mirror(address, tmp_path) as mirror:
        yield mirror


async def put_here(mirror: Mirror, one: FakeEntry, here: str, project: str) -> None:
    later = LONG_AGO + 3_600_000_000
    deletion = [webhook(one, project, parse_time(one.created_at))] if one.resource_type in TYPES[:2] else []
    observation = told("observed", one, project, later)
    records = {
        "nothing": [],
        "deleted": deletion,
        "observed": [observation],
        "other name": [told("observed", one._replace(resource_name="OTHER"), project, later)],
        "other id": [told("observed", one._replace(id="tbe_other"), project, later)],
        "vanished": [observation, told("vanished", one, project, later + 1)],
        "purged": [told("purged", one, project, later)],
        "deleted, observed": [*deletion, observation],
    }[here]
    await mirror.say(*records)


async def attempt(mirror: Mirror, one: Attempt, project: str) -> None:
    """Run as drawn; errors and kills are part of the game."""
    mirror.fake.heal()
    answering = FAULTS[one.fault]
    if answering is not None:
        mirror.fake.script(answering, times=one.times, after=one.after)
    loop, asked = asyncio.get_running_loop(), itertools.count()
    task = asyncio.create_task(
        mirror.reconcile(one.mode, project=project, page_size=2, portion=2)  # type: ignore[arg-type]  # a plain string
    )

    def before(_asked: Asked) -> None:
        if one.killed_after is not None and next(asked) >= one.killed_after:
            loop.call_soon_threadsafe(task.cancel)

    mirror.fake.before = before
    await asyncio.wait({task})
    if not task.cancelled() and task.exception() is not None:
        assert isinstance(task.exception(), BinmirrorError), task.exception()
    mirror.fake.before = None
    mirror.fake.heal()


@pytest.mark.parametrize("run", [0])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(resources=RESOURCES, attempts=ATTEMPTS)
async def test_reconciling_converges(
    opened: Mirror, run: int, resources: list[Resource], attempts: list[Attempt]
) -> None:
    """The mirror lists what Voucherify's bin holds, save what was deleted for good through us."""
    assert run == 0
    project = f"p{next(_examples)}"
    opened.slot.fake = FakeVoucherify()
    entries = [entry(number, TYPES[number % 4]) for number in range(len(resources))]
    for one, resource in zip(entries, resources, strict=True):
        await put_here(opened, one, resource.here, project)
        if resource.there:
            opened.fake.bin.add(one)
    for drawn in attempts:
        await attempt(opened, drawn, project)
    for _ in range(2):  # the first may only bring an older run to its end
        report = await opened.reconcile("full", project=project, force=True, page_size=2, portion=2)
        assert (report.outcome, report.words) == ("done", None)
    for one, resource, held in zip(
        entries, resources, await opened.held(*entries, project=project), strict=True
    ):
        if resource.here == "purged":
            assert held is not None
            assert held.state == "purged"
        elif resource.there:
            assert held is not None
            assert (held.state, held.entry_id) == ("in_bin", one.id)
            assert held.fields is not None
            assert held.fields.resource_name == one.resource_name
        else:
            assert held is None or held.state == "vanished"
    assert (await opened.reconcile("report", project=project)).drift == 0
