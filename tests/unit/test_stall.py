"""A partition that brings nothing although the log has more."""

from consumer.eventlog.kafka.stall import StallWatch
from consumer.types import Bounds
from tests.manual_clock import ManualClock

MORE = {0: Bounds(0, 10)}


def looks(watch: StallWatch, clock: ManualClock, number: int, position: int = 3) -> list[int]:
    """The stalled partitions after so many looks, a second apart."""
    stalled: list[int] = []
    for _ in range(number):
        clock.advance(1)
        stalled = watch.stalled({0: position}, MORE)
    return stalled


def test_stands_still() -> None:
    """One that does not move for longer than the timeout stands still; one that moves begins anew."""
    clock = ManualClock()
    watch = StallWatch(10.0, clock)
    assert looks(watch, clock, 10) == []
    assert looks(watch, clock, 2) == [0]
    assert looks(watch, clock, 1, position=4) == []
    assert looks(watch, clock, 9, position=4) == []


def test_nothing_ahead() -> None:
    """At the log's end, or where the log does not know it, a partition may stand."""
    clock = ManualClock()
    watch = StallWatch(10.0, clock)
    for position in (10, 11):
        assert looks(watch, clock, 30, position=position) == []
    assert watch.stalled({7: 3}, MORE) == []


def test_a_caller_that_was_busy() -> None:
    """Time alone is no proof: whoever did not poll for long looks some times more before it says so."""
    clock = ManualClock()
    watch = StallWatch(10.0, clock)
    assert looks(watch, clock, 1) == []
    clock.advance(100)
    assert looks(watch, clock, 2) == []
    assert looks(watch, clock, 1) == [0]
