"""``GET /mirror/v1/changes/stream``: changes as Server-Sent Events."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import delete
from starlette.types import Message

from consumer.projection.changes_base import BEGINNING, ChangedEntry, ChangesPage, Cursor
from consumer.projection.control_tables import generations
from consumer.projection.engines import open_engine
from consumer.types import Position
from consumer.web.change_feed import FeedPage, Subscription
from consumer.web.change_stream import ChangeStream, StreamRules
from consumer.web.errors import ProblemError
from handlers.changes import ResourceKey
from schemas.errors import unauthorized
from tests.projection_kit import PATIENCE, Feed, Said, eventually
from tests.unit.followkit import RULES, STREAM, Copy, Followed, events_of, followed
from tests.unit.webkit import CREDENTIALS, is_error


@pytest.fixture
async def mirror(tmp_path: Path) -> AsyncIterator[Followed]:
    async with followed(tmp_path) as made:
        yield made


def vouchers(start: int, end: int) -> list[Said]:
    return [Said(f"e{n}", resource_id=f"v{n}", name=f"C{n}") for n in range(start, end)]


async def follow(mirror: Followed, copy: Copy, want: int, **headers: str) -> str:
    """Take what a stream tells until the copy has ``want`` entries; the last id."""
    last = ""
    async with mirror.client() as client, client.stream("GET", STREAM, headers=headers) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        async for event in events_of(response):
            last = event.id or last
            if event.kind == "changes":
                copy.take(event.json())
                assert event.json()["next"] == event.id
            if len(copy.entries) >= want:
                break
    return last


async def test_catches_up_and_goes_along(mirror: Followed) -> None:
    """What is there is told, then what changes; where it broke off it resumes."""
    await mirror.push(*vouchers(0, 1200))
    copy = Copy()
    following = asyncio.create_task(follow(mirror, copy, 1210))
    for n in range(10):
        await mirror.push(*vouchers(1200 + n, 1201 + n))
    last = await following
    assert len(copy.entries) == 1210
    await mirror.push(*vouchers(1210, 1220))
    resumed = Copy()
    await follow(mirror, resumed, 10, **{"Last-Event-ID": last})
    assert sorted(resumed.entries) == [("voucher", f"v{n}") for n in range(1210, 1220)]


async def test_streams_that_begin_at_any_time_miss_nothing(mirror: Followed) -> None:
    """Followers that join while changes come in end with the same copy."""
    copies = [Copy() for _ in range(6)]
    joined = []
    for n in range(60):
        await mirror.push(*vouchers(5 * n, 5 * n + 5))
        if n % 10 == 0:
            joined.append(asyncio.create_task(follow(mirror, copies[n // 10], 300)))
    await asyncio.gather(*joined)
    assert all(copy.entries == copies[0].entries for copy in copies)
    assert len(copies[0].entries) == 300


async def test_a_heartbeat_moves_the_cursor(mirror: Followed) -> None:
    """While only others' bins change, the id goes on, so that resuming has nothing to pass over."""
    async with mirror.client() as client, client.stream("GET", STREAM + "?after=now") as response:
        ids = []
        async for event in events_of(response):
            if event.comment == "heartbeat":
                ids.append(event.id)
                await mirror.feed.push(Said(f"o{len(ids)}", project="other", resource_id=f"v{len(ids)}"))
            if len(set(ids)) == 3:
                break


async def test_the_generation_ends(mirror: Followed) -> None:
    """A stream of a projection that was made anew says so and ends."""
    await mirror.push(*vouchers(0, 3))
    async with mirror.client() as client, client.stream("GET", STREAM) as response:
        seen = []
        async for event in events_of(response):
            seen.append(event.kind)
            if event.kind == "changes":
                database = open_engine(mirror.address, "write")
                with database.engine.begin() as connection:
                    connection.execute(delete(generations))
                database.engine.dispose()
                await Feed.of(mirror.store)
            if event.kind == "problem":
                assert (event.json()["code"], event.json()["key"]) == (410, "cursor_expired")
    assert seen[-1] == "problem"
    assert mirror.sample("change_streams_ended_total", why="expired") == 1


async def test_the_end_of_the_process(mirror: Followed) -> None:
    """Streams end whole when the process stops."""
    async with mirror.client() as client, client.stream("GET", STREAM) as response:
        lines = response.aiter_lines()
        assert await anext(lines) == ": changes of the bin"
        mirror.stop.set()
        assert [line async for line in lines if line and not line.startswith(("retry", "id", ":"))] == []
    assert mirror.sample("change_streams_ended_total", why="shutdown") == 1


async def test_no_more_streams_than_allowed(tmp_path: Path) -> None:
    """One too many is asked to come again; one that has ended makes room."""
    async with followed(tmp_path, RULES._replace(most=1)) as mirror, mirror.client() as client:
        async with client.stream("GET", STREAM) as response:
            assert response.status_code == 200
            full = await client.get(STREAM)
            assert is_error(full, 503, "service_unavailable")
            assert full.headers["retry-after"] == "5"

        async def has_room() -> bool:
            async with client.stream("GET", STREAM) as again:
                return again.status_code == 200

        await eventually(has_room)


async def test_no_more_streams_than_allowed_at_once(tmp_path: Path) -> None:
    """Those that come at the same moment are counted one by one."""
    async with followed(tmp_path, RULES._replace(most=3)) as mirror, mirror.client() as client:
        done = asyncio.Event()

        async def status() -> int:
            async with client.stream("GET", STREAM) as response:
                if response.status_code == 200:
                    await done.wait()
                return response.status_code

        asked = [asyncio.create_task(status()) for _ in range(12)]

        async def all_answered() -> bool:
            return mirror.sample("change_streams") + sum(task.done() for task in asked) == len(asked)

        await eventually(all_answered)
        done.set()
        assert sorted(await asyncio.gather(*asked)) == [200] * 3 + [503] * 9


async def test_credentials_that_end_while_changes_never_cease(mirror: Followed) -> None:
    """The stream ends with a 401 although no moment of quiet brings a heartbeat."""
    sent: list[bytes] = []

    async def send(message: Message) -> None:
        sent.append(message.get("body", b""))

    async def no_longer() -> None:
        raise ProblemError(unauthorized())

    following = mirror.following
    stream = ChangeStream(
        following.changes,
        following.feed,
        project="default",
        cursor=await following.changes.now(),
        still_known=no_longer,
        rules=RULES._replace(heartbeat=PATIENCE),
        metrics=following.metrics,
    )

    async def nothing() -> Message:
        await asyncio.Event().wait()
        return {}

    following_it = asyncio.create_task(stream({"type": "http", "method": "GET"}, nothing, send))
    n = 0
    async with asyncio.timeout(PATIENCE / 2):
        while not following_it.done():
            await mirror.push(*vouchers(n, n + 1))
            n += 1
    await following_it
    assert sent[-1].startswith(b'event: problem\ndata: {"code":401')


async def test_a_reader_that_takes_nothing_is_dropped(tmp_path: Path) -> None:
    """Its connection ends, and with it what was kept for it."""
    rules = StreamRules(most=5, heartbeat=0.05, write_timeout=0.3)
    async with followed(tmp_path, rules) as mirror:
        await mirror.push(*vouchers(0, 9000))
        reader = socket.create_connection(("127.0.0.1", mirror.port))
        head = "".join(f"{name}: {value}\r\n" for name, value in CREDENTIALS.items())
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.sendall(f"GET {STREAM} HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
        pushed = 9000

        async def is_dropped() -> bool:
            nonlocal pushed
            if mirror.sample("change_streams_ended_total", why="slow"):
                return True
            await mirror.push(*vouchers(pushed, pushed + 500))
            pushed += 500
            return False

        await eventually(is_dropped)
        assert mirror.sample("change_streams") == 0
        reader.close()


async def test_a_head_without_a_body(mirror: Followed) -> None:
    """HEAD shows what it would be."""
    async with mirror.client() as client:
        response = await client.head(STREAM)
    assert (response.status_code, response.content) == (200, b"")


async def test_what_waits_for_a_reader_is_bounded() -> None:
    """Of a stream that is far behind only the fact is kept: it reads for itself again."""
    subscription = Subscription("p")
    key = ResourceKey("p", "voucher", "v1")
    page = ChangesPage(
        [ChangedEntry(key, None, Position(0, 0))], Cursor("log", "1-a", {0: 1}), caught_up=True
    )
    for _ in range(1000):
        subscription.push(FeedPage(BEGINNING, page))
        assert len(subscription.pages) <= 16
    assert subscription.lost
    assert not subscription.pages
    assert subscription.woken.is_set()
