"""How the topic of entries is, for ``status``."""

from typing import NamedTuple

from consumer.projection.publisher_base import TopicLook
from schemas.times import format_time


class TopicStatus(NamedTuple):
    """Moments as text; None: never."""

    address: str
    publisher: str | None
    """The process that publishes; None: none does."""
    behind: int | None
    """Records applied to the projection since; None: everything is to be published anew, or is being."""
    published_at: str | None
    everything_at: str | None

    @property
    def words(self) -> str:
        """For people."""
        far = "everything is to be published" if self.behind is None else f"{self.behind} records behind"
        who = f"published by {self.publisher}" if self.publisher else "nobody publishes"
        return ", ".join([far, who, *([f"last at {self.published_at}"] if self.published_at else [])])


def topic_status(address: str, look: TopicLook) -> TopicStatus:
    published = look.published
    if published is None:
        return TopicStatus(address, look.holder, None, None, None)
    return TopicStatus(
        address,
        look.holder,
        look.behind,
        format_time(published.published_at),
        format_time(published.whole_at),
    )
