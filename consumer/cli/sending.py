"""Sends signed deliveries to a receiver, as Voucherify does: at a rate, several at once."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from consumer.web.signature import HEADER, sign

TIMEOUT_SECONDS: Final = 10.0
"""As long as Voucherify waits."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one delivery got."""

    number: int
    status: int | None
    """None when there was no answer; ``text`` then says why."""
    seconds: float
    text: str

    @property
    def accepted(self) -> bool:
        return self.status is not None and self.status in range(200, 300)

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "number": self.number,
            "status": self.status,
            "milliseconds": round(self.seconds * 1000, 1),
            "answer": self.text,
        }


@dataclass(slots=True)
class Summary:
    """All answers together."""

    counts: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    elapsed: float = 0.0
    accepted: int = 0
    answered: int = 0

    def add(self, answer: Answer) -> None:
        self.counts["no answer" if answer.status is None else str(answer.status)] += 1
        self.seconds.append(answer.seconds)
        self.accepted += answer.accepted
        self.answered += answer.status is not None

    @property
    def sent(self) -> int:
        return len(self.seconds)

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "sent": self.sent,
            "accepted": self.accepted,
            "answers": dict(sorted(self.counts.items())),
            "per_second": round(self.sent / self.elapsed, 1) if self.elapsed else None,
            "p50_milliseconds": self._quantile(0.5),
            "p99_milliseconds": self._quantile(0.99),
        }

    def _quantile(self, share: float) -> float | None:
        if not self.seconds:
            return None
        ordered = sorted(self.seconds)
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 1)


class Sender:
    """Posts deliveries to one address."""

    def __init__(self, url: str, secret: bytes, *, on_answer: Callable[[Answer], None]) -> None:
        self._url = url
        self._secret = secret
        self._on_answer = on_answer
        self._taken = 0
        self.summary = Summary()

    async def send(
        self, bodies: Callable[[int], bytes], *, count: int, rate: float | None, concurrency: int
    ) -> Summary:
        """Send ``count`` deliveries made by ``bodies``; at most ``rate`` a second."""
        started = time.monotonic()
        limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        self._taken = 0

        async def work(client: httpx.AsyncClient) -> None:
            while self._taken < count:
                number, self._taken = self._taken, self._taken + 1
                if rate is not None:
                    await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
                answer = await self._post(client, number + 1, bodies(number))
                self.summary.add(answer)
                self._on_answer(answer)

        try:
            async with (
                httpx.AsyncClient(timeout=TIMEOUT_SECONDS, limits=limits) as client,
                asyncio.TaskGroup() as group,
            ):
                for _ in range(min(concurrency, count)):
                    group.create_task(work(client))
        finally:
            self.summary.elapsed = time.monotonic() - started
        return self.summary

    async def _post(self, client: httpx.AsyncClient, number: int, body: bytes) -> Answer:
        headers: Sequence[tuple[bytes, bytes]] = [
            (b"content-type", b"application/json"),
            (HEADER, sign(body, self._secret)),
        ]
        started = time.monotonic()
        try:
            response = await client.post(self._url, content=body, headers=headers)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            return Answer(number, None, time.monotonic() - started, reason)
        return Answer(number, response.status_code, time.monotonic() - started, response.text)
