"""A checkout asks binmirror whether a voucher's code is dead, before it asks Voucherify.

    python checkout.py CODE …

Needs httpx, and in the environment BINMIRROR_URL, APP_ID and APP_TOKEN (CHECKOUT_DEADLINE too, if you like).
What a verdict means here:

    dead, deleted       the voucher is in Voucherify's bin: say no at once
    reusable, unknown   binmirror cannot know whether the code lives: ask Voucherify, as before
    reused              another voucher with this code was seen alive: ask Voucherify, as before

Nothing that happens to binmirror may cost a sale or hold up a customer. So there is a deadline, and any other
answer than a verdict, or none, means: ask Voucherify.
"""

import asyncio
import logging
import os
import sys
from typing import Literal
from urllib.parse import quote

import httpx

DEADLINE = float(os.environ.get("CHECKOUT_DEADLINE", "0.25"))
"""Seconds for all of it: connecting, waiting, reading."""

Decision = Literal["reject", "ask_voucherify"]
log = logging.getLogger("checkout")


async def decide(client: httpx.AsyncClient, code: str, *, deadline: float = DEADLINE) -> Decision:
    """What to do about ``code``. Never raises for what goes wrong on the way."""
    try:
        async with asyncio.timeout(deadline):
            # Any character may be in a code: it is encoded whole, slashes too.
            answer = await client.get(f"/mirror/v1/vouchers/{quote(code, safe='')}")
        verdict = answer.raise_for_status().json()["verdict"]
    except (httpx.HTTPError, TimeoutError, ValueError, KeyError, TypeError) as error:
        log.warning("binmirror gave no verdict: %s", type(error).__name__)
        return "ask_voucherify"
    return "reject" if verdict in {"dead", "deleted"} else "ask_voucherify"


def connect(url: str, app_id: str, app_token: str) -> httpx.AsyncClient:
    """One client for the life of the process: its connections are kept, and a lookup takes a millisecond."""
    keys = {"X-App-Id": app_id, "X-App-Token": app_token}
    return httpx.AsyncClient(base_url=url, headers=keys, timeout=DEADLINE)


async def main(codes: list[str]) -> None:
    """Print what to do about each code."""
    async with connect(os.environ["BINMIRROR_URL"], os.environ["APP_ID"], os.environ["APP_TOKEN"]) as client:
        for code in codes:
            print(code, await decide(client, code))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
