"""Deleting an entry for good: at Voucherify first, then in the log, and from there in the bin.

Safe to repeat after a failure at any step: what Voucherify has done it answers with "not there" the next
time, which counts as done, and a second purge of an entry changes nothing.
"""

from collections.abc import Callable, Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

from consumer.clock import Clock
from consumer.errors import BinmirrorError, LogUnavailableError, TransientError
from consumer.eventlog.base import Producer
from consumer.ops.own_records import EventRecord, own_record
from consumer.projection.base import ProjectionReader
from consumer.types import NewRecord
from consumer.voucherify.client import VoucherifyClient
from consumer.voucherify.retry_policy import INTERACTIVE
from handlers.changes import Entry
from schemas.own_events import EntryPurged
from schemas.times import MINUTE, Micros

Deletes: TypeAlias = Literal["refuse", "forward", "local"]
"""What becomes of a wish to delete for good. local: without asking Voucherify."""

WAIT_SECONDS: Final = 2.0
"""How long an answer waits for the bin to show it."""
_LOOK_SECONDS: Final = 0.05
_GRACE: Final[Micros] = MINUTE
"""How old a deletion has to be before its absence from Voucherify's bin means that it is gone."""


class DeletesRefusedError(BinmirrorError):
    """Deleting for good is switched off. The message says how to allow it."""


class UnknownEntryError(BinmirrorError):
    """No entry of the project has, or had, this id."""


class NotInBinYetError(TransientError):
    """Voucherify's bin does not show a deletion that was told of a moment ago: ask again later."""


class UnfinishedPurgeError(LogUnavailableError):
    """Voucherify has deleted it, the event log does not answer: to be repeated, then it is completed."""


class Purged(NamedTuple):
    """Done."""

    event_id: str
    """Of the event that says so."""
    visible: bool
    """Whether the bin shows it already."""


class Purge:
    """One operation for API and console. ``producer`` must append to the log itself, never to a spool: what
    is not in the log after Voucherify said yes has to be told to whoever asked.
    """

    def __init__(
        self,
        mode: Deletes,
        *,
        reader: ProjectionReader,
        producer: Producer | None,
        clients: Mapping[str, VoucherifyClient],
        clock: Clock,
    ) -> None:
        """``clients`` by project, for ``forward``; ``producer``, already started, unless ``refuse``."""
        self._mode = mode
        self._reader = reader
        self._producer = producer
        self._clients = clients
        self._clock = clock

    async def __call__(
        self,
        project: str,
        entry_id: str,
        *,
        request_id: str,
        who: str,
        allow: Callable[[str], None],
    ) -> Purged:
        """Delete the entry with this id, provisional or real, whatever has become of it since.

        ``allow`` is asked with its resource's type before anything is done; what it raises comes through.

        Raises:
            DeletesRefusedError, UnknownEntryError: nothing was done.
            VoucherifyError: Voucherify did not do it; nothing was done.
            NotInBinYetError, ProjectionUnavailableError: nothing was done; it may work later.
            UnfinishedPurgeError, RecordRefusedError: done at Voucherify, not here.

        """
        if self._mode == "refuse" or self._producer is None:
            raise DeletesRefusedError(
                "Deleting for good is switched off here. Set BINMIRROR_DELETES=forward to have it done at "
                "Voucherify (with VOUCHERIFY_URL, VOUCHERIFY_APP_ID and VOUCHERIFY_APP_TOKEN), or "
                "BINMIRROR_DELETES=local to do it in this mirror alone."
            )
        entry = await self._reader.entry(project, entry_id)
        if entry is None:
            raise UnknownEntryError(f"no entry of {project} has the id {entry_id}")
        allow(entry.key.resource_type)
        if entry.state == "purged":
            return Purged(entry.evidence_event_id, visible=True)
        real_id = entry.entry_id
        if self._mode == "forward":
            real_id = await self._delete_at_voucherify(self._clients[project], entry)
        event = self._purged(entry, real_id, request_id, who)
        await self._append(self._producer, event.record)
        return Purged(event.event_id, await self._shown(project, event.event_id))

    async def _delete_at_voucherify(self, client: VoucherifyClient, entry: Entry) -> str | None:
        """Return once it is gone there; the id that it had, as far as known."""
        real_id = entry.entry_id
        if real_id is None:
            kind, resource_id = entry.key.resource_type, entry.key.resource_id
            found = (await client.find(kind, [resource_id], retries=INTERACTIVE)).get(resource_id)
            if found is None:
                self._check_age(entry)
                return None
            real_id = found.id
        await client.delete(real_id, retries=INTERACTIVE)
        return real_id

    def _check_age(self, entry: Entry) -> None:
        if self._clock.now() - entry.evidence_at < _GRACE:
            raise NotInBinYetError(
                f"Voucherify's bin does not show the {entry.key.resource_type} {entry.key.resource_id} yet, "
                "whose deletion it told of a moment ago. Nothing was deleted; ask again in a minute."
            )

    def _purged(self, entry: Entry, real_id: str | None, request_id: str, who: str) -> EventRecord:
        now = self._clock.now()
        event = EntryPurged.model_validate(
            {
                **entry.key._asdict(),
                "run_id": request_id,
                "evidence_at": now,
                "entry_id": real_id,
                "requested_by": who,
            }
        )
        return own_record(event, now)

    async def _append(self, producer: Producer, record: NewRecord) -> None:
        try:
            await producer.append(record)
        except LogUnavailableError as error:
            done = "It is deleted at Voucherify. " if self._mode == "forward" else ""
            raise UnfinishedPurgeError(
                f"{done}The event log does not answer, so the mirror may go on listing it: repeat the "
                f"request, which then completes it. ({error})"
            ) from error

    async def _shown(self, project: str, event_id: str) -> bool:
        """Wait until the bin shows it, but not for long: it is durable in any case."""
        until = self._clock.monotonic() + WAIT_SECONDS
        while self._clock.monotonic() < until:
            try:
                if await self._reader.event(project, event_id) is not None:
                    return True
            except TransientError:
                return False
            await self._clock.sleep(_LOOK_SECONDS)
        return False
