"""Client for Voucherify's own bin: list it, find entries in it, delete one for good."""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from typing import Final, Self

import httpx

from consumer.addresses import parse_voucherify
from consumer.clock import Clock
from consumer.errors import SettingsError
from consumer.log import Logger
from consumer.voucherify.answers import read_deleted, read_page
from consumer.voucherify.caller import Caller, make_http
from consumer.voucherify.errors import NotFoundError, ProtocolError, RequestRefusedError, ServerFailedError
from consumer.voucherify.paging import (
    MAX_FOUND_PAGES,
    MAX_LIMIT,
    MAX_PAGES,
    Page,
    Walk,
    behind_all,
    chunks,
    entry_path,
    find_filters,
    listing_path,
)
from consumer.voucherify.rate import RateLimit
from consumer.voucherify.retry_policy import BACKGROUND, RetryPolicy, Wait
from schemas.trash_bin import Order
from schemas.voucherify_bin import BinPage, VoucherifyEntry

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
"""A page of a hundred entries has about 40 KB."""


class VoucherifyClient:
    """One project's bin at Voucherify, or at another binmirror. Close it, or use ``async with``.

    Whatever Voucherify does, a method raises an error of ``consumer.voucherify.errors``; ValueError is for
    arguments that can never be sent. Listings can be stopped and taken up again behind any id. All requests
    of a client share what it knows of the rate limit.
    """

    def __init__(
        self,
        url: str,
        app_id: str,
        app_token: str,
        *,
        clock: Clock,
        log: Logger,
        timeout: float = 30.0,
        max_body_bytes: int = MAX_BODY_BYTES,
        retries: RetryPolicy = BACKGROUND,
        on_wait: Callable[[Wait], None] | None = None,
        reserve: float = 0.0,
        strict_order: bool = True,
        max_pages: int = MAX_PAGES,
        proxy: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """``url``: a cluster's name (``api``, ``us1.api``, ``as1.api``) or an address.

        ``timeout``: seconds for one attempt, from connecting to the last byte. ``on_wait`` hears of every
        wait. ``reserve``: the share of the rate limit that is left to the project's other clients.
        ``strict_order=False`` for a peer whose shown ids are not what it orders by: another binmirror.
        Raises SettingsError for an argument that cannot work.
        """
        self._url = _checked(url, app_id, app_token)
        self._http = make_http(
            self._url,
            {"X-App-Id": app_id, "X-App-Token": app_token},
            timeout=timeout,
            proxy=proxy,
            transport=transport,
        )
        self._log = log
        self._retries = retries
        self._strict_order = strict_order
        self._max_pages = max_pages
        self._rate = RateLimit(clock, reserve=reserve)
        self._reported: set[str] = set()
        self._caller = Caller(
            self._http,
            clock=clock,
            log=log,
            timeout=timeout,
            max_body_bytes=max_body_bytes,
            rate=self._rate,
            on_wait=on_wait,
            redact=(app_token, app_id),
        )

    def __repr__(self) -> str:
        return f"VoucherifyClient({self._url})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._http.aclose()

    def rate(self) -> float | None:
        """Requests a minute that the rate limit lets through; None until an answer has told."""
        return self._rate.per_minute()

    async def pages(self, after_id: str | None = None, *, limit: int = MAX_LIMIT) -> AsyncIterator[Page]:
        """The bin from its oldest entry, or from behind ``after_id``, to its newest; one page at least.

        Entries that appear while it is read are seen when their ids lie ahead, as new ids do.
        """
        walk = Walk(after_id, strict=self._strict_order, max_pages=self._max_pages)
        async for page in self._walk(walk, limit, (), self._retries):
            yield page

    async def check_end(self, id_read: str | None) -> None:
        """Make sure that the listing, of which ``id_read`` was read and more is promised, ends somewhere.

        One question as a rule: nothing may lie behind all ids. An answer to that is no proof yet: cursors
        that are no entry's may be taken for none, and ids may be others one day. So the entry that is listed
        first in the opposite order is asked for, which must be the last in this one.

        Raises:
            ProtocolError: it does not end: whatever it is asked to go on behind, it has more.

        """
        try:
            more = await self._one(behind_all(id_read), retries=replace(self._retries, attempts=2))
        except (RequestRefusedError, NotFoundError, ServerFailedError):
            return  # it goes on only behind entries that it has, so nothing can be learnt
        if not _some(more) or (more.data and more.data[:1] == (await self._one(None)).data[:1]):
            return
        newest = (await self._one(None, order="-id")).data[:1]
        last = newest[0].id if newest else id_read
        if _some(behind := await self._one(last)):
            found = behind.data[0].id if behind.data else "more entries"
            raise ProtocolError(
                f"Voucherify's listing does not end: behind {last}, which it names as the last entry, it has "
                f"{found}, and still more behind all ids that there can be; nothing was concluded from it. "
                "Check VOUCHERIFY_URL"
            )

    async def find(
        self, resource_type: str, resource_ids: Iterable[str], *, retries: RetryPolicy | None = None
    ) -> dict[str, VoucherifyEntry]:
        """The entries of these resources that are in the bin now, by resource id; of two, the newer."""
        wanted = list(dict.fromkeys(resource_ids))
        found: dict[str, VoucherifyEntry] = {}
        for chunk in chunks(wanted):
            asked = frozenset(chunk)
            filters = find_filters(resource_type, chunk)
            walk = Walk(None, strict=self._strict_order, max_pages=MAX_FOUND_PAGES)
            async for page in self._walk(walk, MAX_LIMIT, filters, retries or self._retries):
                for entry in page.entries:
                    if entry.resource_id not in asked or entry.resource_type != resource_type:
                        raise ProtocolError(
                            f"Voucherify answers with the {entry.resource_type} {entry.resource_id}, which "
                            "was not asked for: it does not filter; nothing was concluded from it"
                        )
                    found[entry.resource_id] = entry
        return found

    async def delete(self, entry_id: str, *, retries: RetryPolicy | None = None) -> bool:
        """Delete an entry, and with it its resource, for good. False: it was not in the bin (any more).

        Safe to repeat: an attempt whose answer got lost makes the next one find nothing. Of a campaign,
        Voucherify goes on deleting in the background.
        """
        try:
            await self._caller.call("DELETE", entry_path(entry_id), retries or self._retries, read_deleted)
        except NotFoundError as error:
            # A 404 of some other server at a wrong address says nothing about the entry.
            if not error.explained:
                raise
            return False
        return True

    async def _walk(
        self, walk: Walk, limit: int, filters: tuple[tuple[str, str], ...], retries: RetryPolicy
    ) -> AsyncIterator[Page]:
        if not 1 <= limit <= MAX_LIMIT:
            raise ValueError(f"a page has 1 to {MAX_LIMIT} entries, not {limit}")
        while True:
            path = listing_path(limit, walk.after_id, filters)
            page = walk.step(await self._caller.call("GET", path, retries, read_page))
            self._report(page)
            yield page
            if page.last:
                return

    async def _one(
        self, after_id: str | None, *, order: Order = "id", retries: RetryPolicy | None = None
    ) -> BinPage:
        """The entry that is listed behind ``after_id``, unchecked."""
        path = listing_path(1, after_id, order=order)
        return await self._caller.call("GET", path, retries or self._retries, read_page)

    def _report(self, page: Page) -> None:
        for resource_type in sorted(page.unknown_types - self._reported):
            self._reported.add(resource_type)
            self._log.warning("voucherify_unknown_type", resource_type=resource_type)


def _some(answer: BinPage) -> bool:
    return bool(answer.data) or answer.has_more


def _checked(url: str, app_id: str, app_token: str) -> str:
    """The address of the API. Raises SettingsError for what cannot work."""
    for name, value in (("VOUCHERIFY_APP_ID", app_id), ("VOUCHERIFY_APP_TOKEN", app_token)):
        if not value or not value.isascii() or not value.isprintable() or value != value.strip():
            raise SettingsError(f"{name} is empty or holds something that an HTTP header cannot carry")
    try:
        return parse_voucherify(url)
    except ValueError as error:
        raise SettingsError(f"VOUCHERIFY_URL {error}; for example VOUCHERIFY_URL=us1.api") from None
