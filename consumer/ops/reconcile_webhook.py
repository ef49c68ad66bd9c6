"""Whether Voucherify still sends webhooks: after twelve failures it disables them for good, without a word.

The sign: vouchers or campaigns that reconciling finds in Voucherify's bin although no delivery told of them.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from consumer.projection.reconcile_base import MOST_MISSED, Known, Missed, ReconcileStore
from schemas.times import DAY, HOUR, Micros, format_time

GRACE: Final[Micros] = HOUR
"""A delivery may be late: Voucherify's first retries take so long."""
WINDOW: Final[Micros] = DAY
"""What is older was told of before."""

ENABLE: Final = (
    "If it is disabled there (Voucherify does that after 12 failed deliveries), enable it again in "
    "Voucherify: Project settings, Webhooks, edit the webhook, set it active, and send a test"
)


class WebhookHealth(NamedTuple):
    """What reconciling says about a project's webhook."""

    project: str
    missed: int
    """Vouchers and campaigns of the last day that no webhook told of; at most ``MOST_MISSED``."""
    oldest: Micros | None
    last_delivery: Micros | None
    silent: bool
    """No delivery at all since the oldest of them was deleted."""

    @property
    def words(self) -> str | None:
        """For people; None: nothing is missing."""
        if not self.missed:
            return None
        number = f"{self.missed:,}{' or more' if self.missed >= MOST_MISSED else ''}"
        since = "" if self.oldest is None else f" since {format_time(self.oldest)}"
        last = (
            "no delivery was ever received"
            if self.last_delivery is None
            else f"the last verified delivery came at {format_time(self.last_delivery)}"
        )
        what = "the webhook looks disabled" if self.silent else "deliveries are missing"
        return (
            f"{what}: {number} vouchers or campaigns were deleted at Voucherify{since} and no webhook told "
            f"of it; {last}. {ENABLE}. The mirror has what was missed, found by reconciling"
        )

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {
            "project": self.project,
            "missed": self.missed,
            "oldest": None if self.oldest is None else format_time(self.oldest),
            "last_delivery": None if self.last_delivery is None else format_time(self.last_delivery),
            "looks_disabled": self.silent,
            "words": self.words,
        }


async def webhook_health(store: ReconcileStore, project: str, known: Known, now: Micros) -> WebhookHealth:
    """Look. Nothing is missed before the first full run: it finds what no webhook could have told of.

    Raises:
        ProjectionUnavailableError, SchemaMismatchError

    """
    missed = Missed(0, None, None, None)
    if known.first_full_at is not None:
        since = max(known.first_full_at, now - WINDOW)
        missed = await store.missed(project, since=since, until=now - GRACE)
    silent = missed.oldest is not None and (
        missed.last_delivery is None or missed.last_delivery < missed.oldest
    )
    return WebhookHealth(project, missed.number, missed.oldest, missed.last_delivery, silent)


class ProjectReconciliation(NamedTuple):
    """How reconciling a project is, for ``status`` and ``/health``."""

    project: str
    full_done_at: Micros | None
    done_at: Micros | None
    failure: str | None
    """Why the latest run was not completed."""
    webhook: WebhookHealth

    def as_dict(self) -> Mapping[str, Any]:
        """For machines."""
        return {
            "project": self.project,
            "last_full": None if self.full_done_at is None else format_time(self.full_done_at),
            "last_done": None if self.done_at is None else format_time(self.done_at),
            "failure": self.failure,
            "webhook": self.webhook.as_dict(),
        }


async def reconciliation(store: ReconcileStore, project: str, now: Micros) -> ProjectReconciliation:
    """Look. Raises ProjectionUnavailableError, SchemaMismatchError."""
    known = await store.known(project)
    webhook = await webhook_health(store, project, known, now)
    return ProjectReconciliation(project, known.full_done_at, known.done_at, known.failure, webhook)
