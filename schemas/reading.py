"""The one way from a delivery to an event, for receiver and worker alike."""

from schemas.events import Delivery, Event
from schemas.own_events import read_own_event
from schemas.webhooks import read_event


def read(delivery: Delivery) -> Event:
    """The event that a delivery holds. Total: what cannot be applied is an event with a ``failure``.

    Every text of the result can be stored (see ``schemas.text``). The same delivery always reads the same.
    """
    if delivery.source == "binmirror":
        return read_own_event(delivery)
    return read_event(delivery)
