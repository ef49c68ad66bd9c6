"""Operators heal what failed while the service runs, on both stacks."""

import asyncio
import json

from consumer.projection.base import EventQuery
from consumer.projection.queries import SqlProjectionReader
from consumer.projection.read_pool import ReadPool
from schemas.samples import voucher_deleted
from tests.e2e.test_commands import binmirror
from tests.stack import Service, Stack, client_of, deliver, in_bin, running, until


async def events_of(service: Service, status: str) -> list[str]:
    """Ids of the events with this status."""
    reader = SqlProjectionReader(ReadPool(service.stack.env["BINMIRROR_PROJECTION"]))
    try:
        return [row.event_id for row in await reader.events(EventQuery(status=status))]
    finally:
        await reader.stop()


async def test_failed_events_are_healed_and_given_up(stack: Stack) -> None:
    """Events that fail for a wrong setting are redriven once it is right; others are discarded, for good."""
    wrong = stack.service(BINMIRROR_VOUCHERIFY_PROJECT_ID="proj_wrong")
    with running(wrong):
        await wrong.ready()
        async with client_of(wrong.url) as client:
            for number in range(5):
                body = voucher_deleted(voucher_id=f"v_{number}", event_id=f"evvou_{number}")
                assert (await deliver(client, body)).status_code == 202
            assert (await deliver(client, b'{"test": true}')).status_code == 202

        async def all_failed() -> bool:
            return len(await events_of(wrong, "failed")) == 6

        await until(all_failed, "six events failed")
        assert wrong.stop() == 0
    right = stack.service()
    with running(right):
        await right.ready()
        await check(right)


async def check(service: Service) -> None:
    redrive = ["events", "redrive", "--failure-code", "wrong_project", "--json"]
    done = await asyncio.to_thread(binmirror, service, *redrive)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["told"], report["became"], report["pending"]) == (5, {"applied": 5}, 0)
    assert len(await in_bin(service.url, [f"v_{number}" for number in range(5)])) == 5
    discard = ["events", "discard", "--failure-code", "missing_envelope", "--reason", "a test"]
    done = await asyncio.to_thread(binmirror, service, *discard)
    assert done.returncode == 0, done.stderr
    assert "discarded" in done.stdout
    (given_up,) = await events_of(service, "discarded")
    shown = await asyncio.to_thread(binmirror, service, "events", "show", given_up, "--json")
    (decision,) = json.loads(shown.stdout)["decisions"]
    assert (decision["action"], decision["reason"]) == ("discarded", "a test")
    assert await events_of(service, "failed") == []
