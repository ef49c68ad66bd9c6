"""What a reconcile run says: while it runs, and at its end."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from consumer.ops.reconcile_findings import NEWS
from consumer.projection.reconcile_base import Mode, Phase
from schemas.times import Micros, format_time

Outcome: TypeAlias = Literal["done", "stopped"]
PAGE: Final = 100
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400

MEANINGS: Final[Mapping[str, str]] = {
    "read": "entries read in Voucherify's bin",
    "same": "the same here",
    "lacking": "lacking here",
    "real_id": "known here by a provisional id only",
    "confirmed": "so far only reported by a webhook",
    "changed": "with other fields or another id here",
    "back": "there again, vanished here",
    "vanished": "listed here, gone there",
    "purged_here_only": "deleted for good here, still there (never undone)",
    "skipped": "of a type that this version does not know, or with text that cannot be stored",
}
"""What is counted, in the order in which people read it."""


class Progress(NamedTuple):
    """How far a run is."""

    project: str
    mode: Mode
    phase: Phase
    read: int
    """Entries, those before a resumption included."""
    expected: int | None
    """How many the bin may hold; None: nobody knows."""
    read_now: int
    """Entries since this process took the run up."""
    seconds: float
    """Since then."""
    per_minute: float | None
    """Requests that Voucherify's rate limit lets through; None: it has not told of any."""

    @property
    def rate(self) -> float:
        """Entries a second."""
        return self.read_now / self.seconds if self.seconds > 0 else 0.0

    @property
    def total(self) -> int | None:
        """How many there may be; None: nobody knows, as soon as there are more than expected."""
        return self.expected if self.expected is not None and self.read < self.expected else None

    @property
    def seconds_left(self) -> float | None:
        """None: nobody knows."""
        return None if self.total is None or not self.rate else (self.total - self.read) / self.rate

    def forecast(self) -> str:
        """How long the rate limit will make it take."""
        if self.per_minute is None:
            limit = "Voucherify tells of no rate limit"
            if self.expected is None:
                return f"{limit}; how many entries there are to read is not known yet"
            return f"{limit}; about {self.expected:,} entries to read"
        hourly = self.per_minute * _MINUTE * PAGE
        limit = f"Voucherify's rate limit lets {hourly:,.0f} entries an hour be read"
        if self.expected is None:
            return f"{limit}; how many there are to read is not known yet"
        left = max(0, self.expected - self.read)
        return f"{limit}: about {left:,} entries take {duration(left / hourly * _HOUR)} at that pace"


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did."""

    project: str
    mode: Mode
    run_id: str
    outcome: Outcome
    started_at: Micros
    resumed: bool
    seconds: float
    """Since this process took it up."""
    tally: Mapping[str, int]
    listed: int
    """Entries that the mirror listed when the reading was complete."""
    missing: int
    """Of them, those that it had not come across."""
    words: str | None = None
    """What a person should know."""

    @property
    def drift(self) -> int:
        """How many entries the mirror had wrong."""
        return sum(self.tally.get(name, 0) for name in (*NEWS, "vanished"))

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {
            "project": self.project,
            "mode": self.mode,
            "run_id": self.run_id,
            "outcome": self.outcome,
            "started_at": format_time(self.started_at),
            "resumed": self.resumed,
            "seconds": round(self.seconds, 3),
            "drift": self.drift,
            **{name: self.tally.get(name, 0) for name in MEANINGS},
            "listed": self.listed,
            "missing": self.missing,
            "words": self.words,
        }


def duration(seconds: float) -> str:
    """For people: the two largest units."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"
