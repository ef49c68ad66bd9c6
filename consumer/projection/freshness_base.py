"""The contract of "how fresh is the projection"."""

from collections.abc import Collection
from typing import NamedTuple, Protocol

from schemas.times import Micros


class Freshness(NamedTuple):
    """At one moment."""

    age: Micros | None
    """Since all was applied that the log then held, the least over its partitions; None: never yet, or not
    known, because the database's clock was set back since."""
    seen: Micros | None
    """The moment, by the database's clock, that ``age`` counts from: the same while nothing new is known."""
    present: frozenset[tuple[str, str]]
    """Those of the events asked for, (project, event id), that are there, whatever became of them."""


class FreshnessReader(Protocol):
    """Raises ProjectionUnavailableError and SchemaMismatchError, as all that reads the projection."""

    async def freshness(self, events: Collection[tuple[str, str]]) -> Freshness:
        """How old it is, and which of ``events`` it has."""
