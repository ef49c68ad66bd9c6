"""Bodies that are large, late, in pieces or cut off: on a real socket."""

import asyncio
import json

import httpx
import pytest
from starlette.types import Message

from consumer.web.body import BodyTooLargeError, read_body
from consumer.web.signature import sign
from tests.unit.webkit import DELETED, MAX_BODY, PATH, SECRET, ListProducer, Web, exchange, until


def request_head(*lines: str, body: bytes = b"") -> bytes:
    head = [f"POST {PATH} HTTP/1.1", "Host: x", f"X-Voucherify-Signature: {sign(body, SECRET).decode()}"]
    return "\r\n".join([*head, *lines, "", ""]).encode()


async def test_body_at_the_limit() -> None:
    """The limit itself is allowed; one byte more is not."""
    web = Web(ListProducer())
    async with web.serve() as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        for size, status in ((MAX_BODY, 202), (MAX_BODY + 1, 413)):
            body = b" " * size
            headers = {"X-Voucherify-Signature": sign(body, SECRET).decode()}
            response = await client.post(PATH, content=body, headers=headers)
            assert response.status_code == status
    assert web.count("too_large") == 1


@pytest.mark.parametrize("length", [MAX_BODY + 1, 10**15, 2**63 - 1])
async def test_announced_oversize(length: int) -> None:
    """A body announced as too large is refused before any of it is read, and the connection ends."""
    web = Web(ListProducer())
    async with web.serve() as port:
        answer = await exchange(port, request_head(f"Content-Length: {length}"))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"key":"payload_too_large"' in answer
    assert b"connection: close" in answer
    assert web.line["reason"] == "content_length"


async def test_oversize_in_chunks() -> None:
    """A body of unknown length is refused once it exceeds the limit; the rest is not waited for."""
    web = Web(ListProducer())
    chunk = b"%x\r\n%b\r\n" % (MAX_BODY, b"x" * MAX_BODY)
    async with web.serve() as port:
        answer = await exchange(port, request_head("Transfer-Encoding: chunked"), chunk, b"1\r\nx\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert web.line["reason"] == "body"


async def test_the_limit_is_of_all_parts_together() -> None:
    """However small its parts are, a body that exceeds the limit is not taken in."""
    asked = 0

    async def receive() -> Message:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": b"xx", "more_body": asked < 10}

    with pytest.raises(BodyTooLargeError):
        await read_body(receive, limit=7, seconds=5)
    assert asked == 4


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([request_head("Content-Length: 4")], id="nothing"),
        pytest.param([request_head("Content-Length: 4"), b"{}"], id="half"),
        pytest.param([request_head("Transfer-Encoding: chunked"), b"2\r\n{}\r\n"], id="chunks"),
    ],
)
async def test_slow_sender(parts: list[bytes]) -> None:
    """A body that does not arrive in time ends with 408, and does not hold up anyone else."""
    web = Web(ListProducer(), body_timeout=0.2)
    async with web.serve() as port:
        slow = asyncio.create_task(exchange(port, *parts))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            headers = {"X-Voucherify-Signature": sign(b"{}", SECRET).decode()}
            assert (await client.post(PATH, content=b"{}", headers=headers)).status_code == 202
        answer = await slow
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in answer
    assert web.count("timeout") == 1


async def test_body_in_pieces() -> None:
    """A body that takes several packets, but not too long, is put together."""
    producer = ListProducer()
    web = Web(producer)
    head = request_head(f"Content-Length: {len(DELETED)}", "Connection: close", body=DELETED)
    async with web.serve() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for part in (head, DELETED[:10], DELETED[10:1000], DELETED[1000:]):
            writer.write(part)
            await writer.drain()
            # Another request's answer shows that the server has read the part.
            async with httpx.AsyncClient() as client:
                await client.get(f"http://127.0.0.1:{port}/health/live")
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
    assert answer.startswith(b"HTTP/1.1 202 ")
    assert producer.records[0].value == DELETED


async def test_expect_continue() -> None:
    """A client that waits to be asked for the body is asked."""
    web = Web(ListProducer())
    head = request_head("Content-Length: 2", "Expect: 100-continue", "Connection: close", body=b"{}")
    async with web.serve() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        assert await asyncio.wait_for(reader.readline(), 10) == b"HTTP/1.1 100 Continue\r\n"
        writer.write(b"{}")
        assert b"HTTP/1.1 202 " in await asyncio.wait_for(reader.read(), 10)
        writer.close()


@pytest.mark.parametrize("part", [b"", b"{"])
async def test_client_gone(part: bytes) -> None:
    """A client that goes away in the middle of its body leaves a line, and the process goes on."""
    producer = ListProducer()
    web = Web(producer)
    async with web.serve() as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_head("Content-Length: 2") + part)
        await writer.drain()
        writer.close()
        await until(lambda: web.count("disconnected") == 1)
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{port}/health/live")).status_code == 200
    assert web.line["outcome"] == "disconnected"
    assert producer.records == []


async def test_many_at_once_on_few_connections() -> None:
    """Pipelined requests on one connection are all answered, in order."""
    producer = ListProducer()
    web = Web(producer)
    bodies = [json.dumps({"n": n}).encode() for n in range(20)]
    requests = [request_head(f"Content-Length: {len(body)}", body=body) + body for body in bodies]
    requests[-1] = request_head(f"Content-Length: {len(bodies[-1])}", "Connection: close", body=bodies[-1])
    async with web.serve() as port:
        answer = await exchange(port, b"".join(requests) + bodies[-1])
    assert answer.count(b"HTTP/1.1 202 ") == 20
    assert [record.value for record in producer.records] == bodies
