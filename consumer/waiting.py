"""Waiting that a stop ends at once, and how long to wait before the next attempt."""

import asyncio
import random


async def stopped_within(stop: asyncio.Event, seconds: float) -> bool:
    """Wait until ``stop`` is set, for ``seconds`` at most; whether it is."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True


def backoff(failures: int, *, first: float, longest: float) -> float:
    """Seconds before the next attempt, exponential and with jitter; ``failures`` came before this one."""
    pause: float = min(longest, first * 2.0 ** min(failures, 30)) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
    return pause
