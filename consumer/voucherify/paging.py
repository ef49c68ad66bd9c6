"""Walking through a listing page by page, and noticing when the answers cannot be those of a bin."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

from consumer.voucherify.errors import ProtocolError
from schemas.trash_bin import Order
from schemas.voucherify_bin import BinPage, VoucherifyEntry

PATH: Final = "/v1/trash-bin"
MAX_LIMIT: Final = 100
MAX_PAGES: Final = 1_000_000
"""A hundred million entries: beyond any bin, so that a listing without end has one."""
MAX_FOUND_PAGES: Final = 100
"""Of an answer about at most a hundred resources: a hundred entries of each."""
_LAST_ID: Final = "tbe_" + "f" * 18
"""Behind every id that tells its time."""
_LAST_TEXT: Final = "~" * len(_LAST_ID)
"""Behind every ASCII text, where ids turn out to be others."""
_QUERY_BYTES: Final = 4000
"""Of the ids in a query: servers and proxies commonly take request lines of 8 KiB."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the bin, checked."""

    entries: tuple[VoucherifyEntry, ...]
    resume_id: str | None
    """Listing after this id goes on behind this page. None: an empty bin, listed from its start."""
    last: bool
    """Whether the bin ended here, when the page was read."""

    @property
    def unknown_types(self) -> frozenset[str]:
        """Resource types of its entries that are not published (yet)."""
        return frozenset(entry.resource_type for entry in self.entries if not entry.known)


class Walk:
    """Where a listing stands. Feed it each page; it says where to go on, or that something is wrong.

    ``strict``: ids must rise, as text. Otherwise (a peer that orders by something else than the ids that it
    shows) only cursors that come again are noticed.
    """

    def __init__(self, after_id: str | None, *, strict: bool, max_pages: int) -> None:
        self.after_id = after_id
        self._strict = strict
        self._max_pages = max_pages
        self._pages = 0
        # Brent's cycle search: an old cursor is kept and renewed at every power of two.
        self._kept = after_id
        self._renew_at = 1

    def step(self, answer: BinPage) -> Page:
        """Check a page and move behind it.

        Raises:
            ProtocolError: the pages do not make a listing.

        """
        self._pages += 1
        if self._strict:
            self._check_order(answer)
        cursor = answer.data[-1].id if answer.data else answer.more_starting_after
        if answer.has_more:
            self._check_cursor(cursor, answer.more_starting_after)
        elif cursor is None or not answer.data:
            cursor = self.after_id
        self.after_id = cursor
        return Page(answer.data, cursor, last=not answer.has_more)

    def _check_order(self, answer: BinPage) -> None:
        before = self.after_id
        for entry in answer.data:
            if before is not None and entry.id <= before:
                raise ProtocolError(
                    f"Voucherify lists entry {entry.id} after {before}, which is not the order asked for; "
                    "nothing was concluded from it"
                )
            before = entry.id

    def _check_cursor(self, cursor: str | None, told: str | None) -> None:
        if cursor is None:
            raise ProtocolError("Voucherify says that there are more entries, but not after which one")
        backward = told is not None and cursor > told
        if cursor == self.after_id or (self._strict and backward):
            raise ProtocolError(
                f"Voucherify's listing does not move on: after {self.after_id} it points to {told or cursor}"
            )
        if self._strict and self.after_id is not None and cursor <= self.after_id:
            raise ProtocolError(f"Voucherify's listing goes back from {self.after_id} to {cursor}")
        if cursor == self._kept:
            raise ProtocolError(f"Voucherify's listing goes round in circles: {cursor} comes again")
        if self._pages >= self._max_pages:
            raise ProtocolError(
                f"Voucherify's listing does not end: {self._pages} pages, and still more are promised"
            )
        if self._pages >= self._renew_at:
            self._kept = cursor
            self._renew_at *= 2


def behind_all(id_read: str | None) -> str:
    """Where a bin has no entries any more, given an id of it."""
    return _LAST_TEXT if id_read is not None and id_read > _LAST_ID else _LAST_ID


def listing_path(
    limit: int, after_id: str | None, filters: tuple[tuple[str, str], ...] = (), *, order: Order = "id"
) -> str:
    """Path and query of one page."""
    parameters = [("limit", str(limit)), ("order", order)]
    if after_id is not None:
        parameters.append(("starting_after_id", after_id))
    return f"{PATH}?{urlencode([*parameters, *filters])}"


def entry_path(entry_id: str) -> str:
    """Path of one entry; whatever the id holds, it stays one segment."""
    if entry_id in {"", ".", ".."}:
        raise ValueError(f"not an entry's id: {entry_id!r}")
    return f"{PATH}/{quote(entry_id, safe='')}"


def find_filters(resource_type: str, resource_ids: list[str]) -> tuple[tuple[str, str], ...]:
    """The query that finds the entries of some resources of one type."""
    return (
        ("filters[junction]", "and"),
        ("filters[resource_type][conditions][$is]", resource_type),
        *(
            (f"filters[resource_id][conditions][$in][{index}]", resource_id)
            for index, resource_id in enumerate(resource_ids)
        ),
    )


def chunks(resource_ids: list[str]) -> Iterator[list[str]]:
    """Ids in portions that fit into a request line and, as a rule, into one page."""
    chunk: list[str] = []
    size = 0
    for resource_id in resource_ids:
        bytes_needed = len(urlencode({"filters[resource_id][conditions][$in][00]": resource_id})) + 1
        if chunk and (size + bytes_needed > _QUERY_BYTES or len(chunk) == MAX_LIMIT):
            yield chunk
            chunk, size = [], 0
        chunk.append(resource_id)
        size += bytes_needed
    if chunk:
        yield chunk
