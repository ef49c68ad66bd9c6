"""Reading one's own write across processes, the spool included."""

import asyncio

import httpx
import pytest

from schemas.samples import voucher_deleted
from tests.servers.kafka import KafkaBroker
from tests.stack import CREDENTIALS, Stack, client_of, deliver, running, until

pytestmark = pytest.mark.timeout(180)


async def write(url: str, number: int) -> str:
    """Delete a voucher; the event's id as the receiver names it."""
    async with client_of(url) as client:
        body = voucher_deleted(voucher_id=f"v_{number}", event_id=f"evvou_{number}", code=f"CODE-{number}")
        response = await deliver(client, body)
    assert response.status_code == 202
    assert response.headers["binmirror-event-id"] == response.json()["event_id"]
    return response.headers["binmirror-event-id"]


async def read(url: str, name: str = "CODE", **demands: str) -> httpx.Response:
    headers = {
        **CREDENTIALS,
        **{f"Binmirror-{name.replace('_', '-')}": text for name, text in demands.items()},
    }
    async with client_of(url, timeout=40) as client:
        params = {"filters[resource_name][conditions][$is]": name}
        return await client.get("/v1/trash-bin", params=params, headers=headers)


async def test_reads_its_own_writes(stack: Stack) -> None:
    """With the event's id every read shows what was written just before, whichever process answers."""
    receiver, worker = stack.service("receiver"), stack.service("worker")
    # How long that may take on a busy machine is not the question.
    api = stack.service("api", BINMIRROR_FRESH_WAIT="30")
    with running(receiver, worker, api):
        for service in (receiver, worker, api):
            await service.ready()
        for number in range(20):
            event_id = await write(receiver.url, number)
            response = await read(api.url, f"CODE-{number}", Min_Event=event_id)
            assert response.status_code == 200, response.text
            assert len(response.json()["data"]) == 1


async def test_the_age_grows_while_the_worker_is_away(stack: Stack) -> None:
    """It is a second or two while the worker is idle; without one, too old an answer is refused."""
    receiver, worker, api = (stack.service(role) for role in ("receiver", "worker", "api"))
    with running(receiver, worker, api):
        for service in (receiver, worker, api):
            await service.ready()

        async def is_fresh() -> bool:
            return (await read(api.url, Max_Age="3")).status_code == 200

        await until(is_fresh, "an age below three seconds")
        await asyncio.to_thread(worker.kill)

        async def is_stale() -> bool:
            return (await read(api.url, Max_Age="3")).status_code == 503

        await until(is_stale, "an age over three seconds")
        assert float((await read(api.url)).headers["binmirror-age"]) > 3
        worker.start()
        await until(is_fresh, "an age below three seconds again")


@pytest.mark.kafka
@pytest.mark.postgres
async def test_waits_for_what_is_in_the_spool(server_stack: Stack, kafka_broker: KafkaBroker) -> None:
    """While Kafka is away a spooled event is answered 503; when it is back the same request succeeds."""
    receiver, worker, api = (server_stack.service(role) for role in ("receiver", "worker", "api"))
    with running(receiver, worker, api):
        for service in (receiver, worker, api):
            await service.ready()
        await asyncio.to_thread(kafka_broker.freeze)
        try:
            event_id = await write(receiver.url, 1)
            response = await read(api.url, Min_Event=event_id)
            assert (response.status_code, response.json()["key"]) == (503, "stale_projection")
            assert response.headers["retry-after"] == "1"
        finally:
            await asyncio.to_thread(kafka_broker.restore)

        async def is_there() -> bool:
            return (await read(api.url, Min_Event=event_id)).status_code == 200

        await until(is_there, "the spooled event")
