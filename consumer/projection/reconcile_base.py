"""The contract of what reconciling keeps in the projection's database, beside the bin itself.

It reads the bin and never writes it: findings go to the event log. One process at a time works on a project,
by a lease of the database's clock; whatever a run writes is refused once its lease has gone to another.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias

from handlers.changes import Fields
from schemas.events import State
from schemas.times import Micros

Mode: TypeAlias = Literal["full", "incremental", "report"]
Phase: TypeAlias = Literal["reading", "missing", "stopped", "failed", "done"]
"""reading: Voucherify's bin; missing: asking again for what was not in it; stopped: a person decides; failed:
not to be taken up again."""
Marks: TypeAlias = Mapping[str, Sequence[str]]
"""Resource type → resource ids."""
Key: TypeAlias = tuple[str, str]
"""Resource type and id."""


class Lease(NamedTuple):
    """Who may work on a project. ``epoch`` tells one taking from the next."""

    project: str
    owner: str
    epoch: int


class Held(NamedTuple):
    """What the mirror has of a resource."""

    state: State
    entry_id: str | None
    fields: Fields | None


class Run(NamedTuple):
    """A reconcile run, as far as it has come."""

    project: str
    mode: Mode
    run_id: str
    started_at: Micros
    phase: Phase
    position: str | None
    """Voucherify's bin has been read up to this entry id."""
    tally: Mapping[str, int]


class Known(NamedTuple):
    """What is remembered of a project's runs; moments by the database's clock, ``now`` too."""

    now: Micros
    position: str | None = None
    first_full_at: Micros | None = None
    full_done_at: Micros | None = None
    full_entries: int | None = None
    done_at: Micros | None = None
    tried_at: Micros | None = None
    full_tried_at: Micros | None = None
    failure: str | None = None


class Absent(NamedTuple):
    """Some listed entries that a run has not seen, and where to go on; None: that was all."""

    keys: Sequence[Key]
    after: Key | None


class Missed(NamedTuple):
    """Vouchers and campaigns deleted at Voucherify that no webhook told of."""

    number: int
    """At most ``MOST_MISSED``: then there may be more."""
    oldest: Micros | None
    newest: Micros | None
    last_delivery: Micros | None
    """When the newest verified delivery of the project was received."""


MOST_MISSED = 1000


class ReconcileStore(Protocol):
    """Every method may raise ProjectionUnavailableError, and at the start SchemaMismatchError.

    Methods that take a ``Lease`` raise FencedError, and change nothing, when it is another's by now.
    """

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def acquire(self, project: str, owner: str, seconds: float) -> Lease | str:
        """The lease, or who has it. An owner's own unended lease is given to it again."""

    async def renew(self, lease: Lease, seconds: float) -> None: ...

    async def release(self, lease: Lease) -> None:
        """Let go, if it is still ours."""

    async def known(self, project: str) -> Known: ...

    async def run(self, project: str, mode: Mode) -> Run | None:
        """The latest run of this mode."""

    async def begin(self, lease: Lease, mode: Mode, run_id: str, now: Micros) -> Run:
        """A new run in place of the latest of its mode. It starts ``now``, but after every earlier run."""

    async def held(self, project: str, keys: Marks) -> Mapping[Key, Held]:
        """What the mirror has of these resources."""

    async def step(self, lease: Lease, run: Run, marks: Marks) -> None:
        """Note in one transaction how far ``run`` has come, and what it has seen on the way."""

    async def absent(self, run: Run, *, older_than: Micros, after: Key | None) -> Absent:
        """Listed entries without a mark of ``run`` whose evidence precedes it; created, and where only a
        webhook told of them also told, before ``older_than``. A bounded piece of work.
        """

    async def listed(self, project: str) -> int:
        """How many entries the mirror lists."""

    async def end(self, lease: Lease, run: Run, failure: str | None) -> None:
        """Note that a run is done, or (phase unchanged) why it goes no further."""

    async def forget_marks(self, lease: Lease) -> bool:
        """Remove some marks of the project's runs that nobody can take up; whether more are left."""

    async def positions(self) -> Mapping[int, int]:
        """Partition → first offset that the projection has not applied."""

    async def missed(self, project: str, *, since: Micros, until: Micros) -> Missed:
        """Vouchers and campaigns created in this time that are in the bin without a webhook.

        Vouchers of a campaign that was deleted itself do not count: Voucherify sends none for them.
        """
