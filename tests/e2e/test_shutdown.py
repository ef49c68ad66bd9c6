"""How a process ends: cleanly by one signal, at once by two, loudly when a part of it fails."""

import asyncio
import json
import signal
import socket
from typing import Any

import pytest

from schemas.samples import sign, voucher_deleted
from tests.stack import SECRET, Load, Service, Stack, client_of, in_bin, running, until


def log_lines(service: Service) -> list[dict[str, Any]]:
    return [json.loads(line) for line in service.log.read_text().splitlines() if line.startswith("{")]


def actions(service: Service) -> list[str]:
    return [line["action"] for line in log_lines(service)]


class SlowDelivery:
    """A delivery whose body comes in two parts, with the test in between."""

    def __init__(self, service: Service, body: bytes) -> None:
        self._body = body
        self._socket = socket.create_connection(("127.0.0.1", service.port), timeout=10)
        head = (
            "POST /webhooks/voucherify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nx-voucherify-signature: {sign(SECRET, body)}\r\n\r\n"
        )
        self._socket.sendall(head.encode() + body[:10])

    def give_up(self) -> None:
        self._socket.close()

    def finish(self) -> bytes:
        """Send the rest; the answer."""
        self._socket.sendall(self._body[10:])
        with self._socket:
            return self._socket.recv(65_536)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_delivery_in_flight_is_finished(sqlite_stack: Stack, number: signal.Signals) -> None:
    """A delivery begun before the signal is answered after it, and stored; then the process ends with 0."""
    service = sqlite_stack.service()
    with running(service):
        await service.ready()
        slow = SlowDelivery(service, voucher_deleted(voucher_id="v_slow", event_id="evvou_slow"))
        await until(lambda: _open_connections(service), "the request is being read")
        assert service.process is not None
        service.process.send_signal(number)
        await until(lambda: _logged(service, "stopping"), "the service is stopping")
        answer = await asyncio.to_thread(slow.finish)
        assert answer.startswith(b"HTTP/1.1 202")
        assert await asyncio.to_thread(service.process.wait, 30) == 0
        assert actions(service)[-1] == "stopped"
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", service.port), timeout=1)
        service.start()
        await in_bin(service.url, ["v_slow"])


async def _open_connections(service: Service) -> bool:
    """Whether the service has taken a connection besides the one that asks."""
    async with client_of(service.url) as client:
        return (await client.get("/health/live")).status_code == 200


async def _logged(service: Service, action: str) -> bool:
    return action in actions(service)


async def test_sender_that_never_finishes(sqlite_stack: Stack) -> None:
    """A delivery whose body never comes does not keep the process from ending."""
    service = sqlite_stack.service(BINMIRROR_SHUTDOWN_DEADLINE="1", BINMIRROR_BODY_TIMEOUT="9")
    with running(service):
        await service.ready()
        slow = SlowDelivery(service, b"x" * 100)
        await until(lambda: _open_connections(service), "the request is being read")
        assert await asyncio.to_thread(service.stop) == 0
        slow.give_up()


async def test_second_signal_ends_at_once(sqlite_stack: Stack) -> None:
    """Whoever cannot wait sends the signal twice."""
    service = sqlite_stack.service(BINMIRROR_SHUTDOWN_DEADLINE="60", BINMIRROR_BODY_TIMEOUT="9")
    with running(service):
        await service.ready()
        slow = SlowDelivery(service, b"x" * 100)
        await until(lambda: _open_connections(service), "the request is being read")
        assert service.process is not None
        service.process.send_signal(signal.SIGTERM)
        await until(lambda: _logged(service, "stopping"), "the service is stopping")
        service.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(service.process.wait, 30) == 128 + signal.SIGTERM
        slow.give_up()


async def test_rolling_restart_under_load(stack: Stack) -> None:
    """A restart by SIGTERM under load: nothing is answered but 202 and 503, and all accepted is there."""
    service = stack.service()
    with running(service):
        await service.ready()
        async with Load(lambda: service.url, prefix="roll") as load:
            for _ in range(2):
                await more(load, 50)
                assert await asyncio.to_thread(service.stop) == 0
                service.start()
                await service.live()
        assert {answer.status for answer in load.answers} <= {0, 202, 503}
        await in_bin(service.url, load.accepted)


async def more(load: Load, number: int) -> None:
    """Wait until ``number`` more deliveries have been answered."""
    wanted = len(load.answers) + number

    async def enough() -> bool:
        return len(load.answers) >= wanted

    await until(enough, f"{number} more deliveries are answered")


def lose_the_log(stack: Stack) -> None:
    for file in stack.folder.glob("log.db*"):
        file.unlink()


async def test_worker_that_needs_a_person_leaves_the_receiver_alone(sqlite_stack: Stack) -> None:
    """A worker stopped for good is not ready, and says why; deliveries go on being accepted."""
    service = sqlite_stack.service()
    with running(service):
        await service.ready()
        async with Load(lambda: service.url, prefix="first") as load:
            await more(load, 20)
        await in_bin(service.url, load.accepted)
        assert service.stop() == 0
        lose_the_log(sqlite_stack)
        service.start()
        await service.live()
        await until(lambda: _logged(service, "worker_stopped"), "the worker has stopped")
        async with client_of(service.url) as client:
            worker = await client.get("/health/ready/worker")
            assert worker.status_code == 503
            assert "worker" in worker.json()["details"]
            ready = await client.get("/health/ready")
            assert ready.status_code == 200
            assert ready.json()["status"] == "degraded"
        async with Load(lambda: service.url, prefix="second") as load:
            await more(load, 20)
        assert {answer.status for answer in load.answers} == {202}
        assert service.stop() == 0
