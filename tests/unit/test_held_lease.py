"""A lease that is held: when it counts no more."""

import pytest

from consumer.errors import FencedError
from consumer.projection.held_lease import HeldLease
from tests.manual_clock import ManualClock


def test_a_lease_that_could_not_be_renewed_counts_no_more() -> None:
    """After its time, counted from when it was asked for, another process may be at work: say so."""
    clock = ManualClock()
    asked_at = clock.monotonic()
    clock.advance(4)
    held = HeldLease(1, "project p", clock, 10.0, asked_at=asked_at)
    clock.advance(6)
    held.check()
    clock.advance(0.1)
    with pytest.raises(FencedError, match=r"project p: .* could not renew its lease for 10 s"):
        held.check()
