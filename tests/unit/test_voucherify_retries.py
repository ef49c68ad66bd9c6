import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from consumer.errors import TransientError
from consumer.voucherify.errors import (
    ProtocolError,
    RateLimitedError,
    ServerFailedError,
    TruncatedAnswerError,
    UnreachableError,
    VoucherifyError,
)
from consumer.voucherify.retry_policy import INTERACTIVE, RetryPolicy
from tests.fake_voucherify import faults
from tests.fake_voucherify.bin import FIRST, entry_id, made_up
from tests.fake_voucherify.server import listen
from tests.unit.voucherify_kit import Kit, ids

FAILURES = {
    "500": faults.status(500),
    "502": faults.html(502),
    "503": faults.status(503),
    "408": faults.status(408),
    "429": faults.status(429),
    "cut": faults.cut(),
    "truncated": faults.truncated(),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_what_passes_is_tried_again(at: Kit, failure: str) -> None:
    """A listing goes through several failures on any page, waiting longer each time, and is complete."""
    at.fake.bin.fill(250)
    at.fake.script(FAILURES[failure], times=3, after=1)
    async with at.client() as client:
        assert await ids(client.pages()) == [entry.id for entry in at.fake.bin]
    assert len(at.fake.asked) == 3 + 3
    assert len(at.clock.sleeps) == 3
    assert at.clock.sleeps[0] < at.clock.sleeps[2] < 10


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_deletion_is_tried_again(at: Kit, failure: str) -> None:
    """A deletion that met a failure is repeated; if the first attempt worked, it was not there any more."""
    at.fake.bin.add(made_up(entry_id(FIRST)))
    at.fake.script(FAILURES[failure], times=2, method="DELETE")
    async with at.client() as client:
        await client.delete(entry_id(FIRST))
    assert len(at.fake.bin) == 0
    assert at.fake.deleted == [entry_id(FIRST)]


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        ("500", ServerFailedError),
        ("503", ServerFailedError),
        ("cut", UnreachableError),
        ("429", RateLimitedError),
    ],
)
async def test_what_does_not_pass_is_given_up(at: Kit, failure: str, error: type[VoucherifyError]) -> None:
    """Attempts and time are bounded; the error is transient and names what was met last."""
    at.fake.bin.fill(3)
    at.fake.script(FAILURES[failure], times=None)
    start = at.clock.monotonic()
    async with at.client(retries=RetryPolicy(attempts=4, total=60, rate_limit=60)) as client:
        with pytest.raises(error) as caught:
            await ids(client.pages())
    assert isinstance(caught.value, TransientError)
    assert at.clock.monotonic() - start <= 60
    assert 4 <= len(at.fake.asked) < 10


async def test_an_answer_that_stays_truncated_is_no_transient_error(at: Kit) -> None:
    """JSON that always ends too early is a fault of protocol in the end."""
    at.fake.script(faults.truncated(), times=None)
    async with at.client(retries=RetryPolicy(attempts=2)) as client:
        with pytest.raises(TruncatedAnswerError, match="ends too early"):
            await ids(client.pages())
    assert len(at.fake.asked) == 2


async def test_total_time_ends_the_attempts(at: Kit) -> None:
    """Although attempts are left, none begins after the total time."""
    at.fake.script(faults.status(500), times=None)
    async with at.client(retries=RetryPolicy(attempts=1000, total=20)) as client:
        with pytest.raises(ServerFailedError):
            await ids(client.pages())
    assert sum(at.clock.sleeps) < 20


async def test_a_503_that_asks_for_time_gets_it(at: Kit) -> None:
    """Retry-After of a 503 is kept to; one beyond our retries ends it at once."""
    at.fake.script(faults.status(503, {"Retry-After": "42"}))
    async with at.client() as client:
        assert await ids(client.pages()) == []
        assert 42 <= at.clock.sleeps[0] <= 43
        at.fake.script(faults.status(503, {"Retry-After": "86400"}))
        with pytest.raises(ServerFailedError):
            await ids(client.pages())
    assert len(at.clock.sleeps) == 1


async def test_a_hanging_server_is_left(at: Kit) -> None:
    """Each attempt has a deadline; the next one may work."""
    at.fake.bin.fill(2)
    at.fake.script(faults.hanging())
    async with at.client(timeout=0.2) as client:
        assert len(await ids(client.pages())) == 2
    assert "did not answer within" in at.waits[0].error


async def test_a_server_that_drips_is_left(at: Kit) -> None:
    """An answer that never ends is no answer, even if bytes arrive all the time."""

    class Drip(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                yield b" "
                await asyncio.sleep(0)

    transport = httpx.MockTransport(lambda _request: httpx.Response(200, stream=Drip()))
    async with at.client(timeout=0.1, retries=RetryPolicy(attempts=2), transport=transport) as client:
        with pytest.raises(UnreachableError, match="did not answer within"):
            await ids(client.pages())


async def test_nobody_listening_is_unreachable(at: Kit) -> None:
    """A refused connection is tried again, then named with address and advice."""
    listener = listen()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()
    async with at.client(url=url, retries=INTERACTIVE) as client:
        with pytest.raises(UnreachableError, match=f"{url}.*check VOUCHERIFY_URL"):
            await ids(client.pages())
    assert len(at.clock.sleeps) == 1


async def test_who_waits_gets_an_answer_soon(at: Kit) -> None:
    """With the retries of a waiting caller a busy Voucherify is given up within seconds."""
    at.fake.script(faults.status(429, {"Retry-After": "30"}))
    async with at.client() as client:
        with pytest.raises(RateLimitedError, match="opens again in 30 s") as caught:
            await client.delete("tbe_1", retries=INTERACTIVE)
    assert caught.value.retry_after == 30
    assert at.clock.sleeps == []


async def test_waits_are_told(at: Kit) -> None:
    """Whoever asked hears of each wait, and the log as well, in words for people."""
    at.fake.script(faults.status(429, {"Retry-After": "34"}))
    at.fake.script(faults.status(500))
    async with at.client() as client:
        await ids(client.pages())
    assert [wait.reason for wait in at.waits] == ["rate_limit", "failure"]
    assert str(at.waits[0]).startswith("rate limit: going on in 3")
    assert "Voucherify answers 500" in str(at.waits[1])
    assert "trying again in" in str(at.waits[1])
    assert at.logged().count("voucherify_wait") == 2


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>Log in</html>", "HTML instead of JSON"),
        (b"not json", "not JSON"),
        (b"[]", "the answer"),
        (b"{}", "object"),
        (b'{"object":"list","data":[]}', "has_more"),
        (b'{"object":"list","data":{},"has_more":false}', "data"),
        (b'{"object":"list","data":[],"has_more":"no"}', "has_more"),
        (b'{"object":"list","data":[{"id":7}],"has_more":false}', r"data\.0\.id"),
        (faults.page([made_up(entry_id(FIRST))._replace(created_at="soon")]), r"data\.0\.created_at"),
        (faults.page([made_up(entry_id(FIRST))._replace(resource_id="")]), r"data\.0\.resource_id"),
        (b'{"object":"error","data":[],"has_more":false}', "object"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 5000, "not JSON|ends too early"),
    ],
)
async def test_an_answer_of_another_form_is_refused(at: Kit, body: bytes, said: str) -> None:
    """What is not the published form is an error that says where, and never an empty bin."""
    at.fake.script(faults.body(body), times=None)
    async with at.client() as client:
        with pytest.raises(ProtocolError, match=said):
            await ids(client.pages())


async def test_a_body_over_the_limit_is_not_read_on(at: Kit) -> None:
    """An endless body costs no memory: reading stops at the limit."""
    at.fake.bin.fill(100)
    async with at.client(max_body_bytes=1000) as client:
        with pytest.raises(ProtocolError, match="larger than 1000 bytes"):
            await ids(client.pages())
    assert len(at.fake.asked) == 1


async def test_an_error_with_a_huge_body_is_still_that_error(at: Kit) -> None:
    """Of an error's body only the start is read."""
    at.fake.script(faults.body(b"x" * 5_000_000, 403))
    async with at.client(max_body_bytes=1000) as client:
        with pytest.raises(VoucherifyError, match="403"):
            await ids(client.pages())


async def test_a_compressed_answer_is_refused(at: Kit) -> None:
    """Compression is not asked for, since its size would be unknown; an answer with it is not unpacked."""
    at.fake.script(faults.status(200, {"Content-Encoding": "gzip"}, b"\x1f\x8b"))
    async with at.client() as client:
        with pytest.raises(ProtocolError, match="encoded"):
            await ids(client.pages())
    assert at.fake.asked[0].headers["accept-encoding"] == "identity"
