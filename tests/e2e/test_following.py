"""Followers of both kinds, while workers are killed: in the end their copies are the bin."""

import asyncio
import json
import random
import time
from typing import Any

import httpx
import pytest

from tests.stack import CREDENTIALS, Load, Stack, bin_of, client_of, in_bin, running, until
from tests.unit.followkit import CHANGES, STREAM, events_of

pytestmark = pytest.mark.timeout(240)

ROUNDS = 4


class Follower:
    """Keeps a copy; goes on from its cursor however often it has to connect again.

    Told that its cursor is of another projection or log it forgets the copy, and starts again.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._cursor = "beginning"
        self.copy: dict[str, str] = {}
        self.told = 0
        self.started_again = 0

    def take(self, page: Any) -> None:
        for change in page["data"]:
            self.told += 1
            if change["state"] in {"deleted", "in_bin"}:
                self.copy[change["resource_id"]] = change["id"]
            else:
                self.copy.pop(change["resource_id"], None)
        self._cursor = page["next"]

    def start_again(self) -> None:
        self.started_again += 1
        self.copy, self._cursor = {}, "beginning"

    async def poll(self) -> None:
        async with client_of(self._url, headers=CREDENTIALS) as client:
            while True:
                try:
                    response = await client.get(CHANGES, params={"after": self._cursor, "limit": 7})
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
                    continue
                if response.status_code in {410, 503}:
                    if response.status_code == 410:
                        self.start_again()
                    await asyncio.sleep(0.05)
                    continue
                assert response.status_code == 200, response.text
                self.take(response.json())
                if not response.json()["has_more"]:
                    await asyncio.sleep(0.05)

    async def stream(self) -> None:
        async with client_of(self._url, headers=CREDENTIALS) as client:
            while True:
                resumed = {} if self._cursor == "beginning" else {"Last-Event-ID": self._cursor}
                try:
                    async with client.stream("GET", STREAM, headers=resumed) as response:
                        assert response.status_code in {200, 410, 503}
                        if response.status_code == 410:
                            self.start_again()
                        async for event in events_of(response):
                            if event.kind == "problem":
                                assert event.json()["code"] in {410, 503}
                                if event.json()["code"] == 410:
                                    self.start_again()
                            if event.kind == "changes":
                                self.take(event.json())
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)


async def test_followers_hold_the_bin(stack: Stack) -> None:
    """Pollers and streams go on across killed workers and killed APIs, and end with the bin."""
    chance = random.Random(60)
    receiver, worker, api, other = (stack.service(role) for role in ("receiver", "worker", "api", "api"))
    with running(receiver, worker, api, other):
        for service in (receiver, worker, api, other):
            await service.ready()
        followers = [Follower(url) for url in (api.url, other.url) for _ in range(2)]
        ways = [Follower.poll, Follower.stream, Follower.poll, Follower.stream]
        tasks = [asyncio.create_task(way(it)) for way, it in zip(ways, followers, strict=True)]
        async with Load(lambda: receiver.url, prefix="follow") as load:
            for number in range(ROUNDS):
                await asyncio.sleep(chance.uniform(0.3, 1.0))
                victim = other if number == ROUNDS - 1 else worker
                victim.kill()
                victim.start()
            await other.live()
        await in_bin(api.url, load.accepted)
        whole = {entry["resource_id"]: entry["id"] for entry in await bin_of(api.url)}
        assert len(whole) > 50

        async def all_hold_it() -> bool:
            for task in tasks:
                assert not task.done(), task.exception()
            return all(follower.copy == whole for follower in followers)

        await until(all_hold_it, "every follower's copy is the bin")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_open_streams_do_not_hold_up_the_end(sqlite_stack: Stack) -> None:
    """SIGTERM ends all streams whole, and the process at once."""
    service = sqlite_stack.service(BINMIRROR_SHUTDOWN_DEADLINE="60")
    with running(service):
        await service.ready()
        async with client_of(service.url, headers=CREDENTIALS) as client:

            async def read_all() -> str:
                response = await client.get(STREAM)
                return response.text

            open_streams = [asyncio.create_task(read_all()) for _ in range(20)]

            async def all_open() -> bool:
                return "binmirror_change_streams 20.0" in (await client.get("/metrics")).text

            await until(all_open, "twenty streams")
            began = time.monotonic()
            assert await asyncio.to_thread(service.stop) == 0
            assert time.monotonic() - began < 30
            texts = await asyncio.gather(*open_streams)
    assert all(text.startswith(": changes of the bin") for text in texts)
    lines = [json.loads(line) for line in service.log.read_text().splitlines() if line.startswith("{")]
    assert [line for line in lines if line["level"] in {"error", "warning"}] == []
