"""When handler exceptions are so many that the worker stops."""

from collections.abc import Sequence

import pytest

from consumer.errors import HandlerLimitError
from consumer.projection.base import Outcome
from consumer.worker.interpret import HANDLER_ERROR
from consumer.worker.limits import HandlerLimit
from schemas.events import Failure, unread_event


def outcomes(bad: Sequence[bool], *, start: int = 0, code: str = HANDLER_ERROR) -> list[Outcome]:
    """One for each, failed with ``code`` where it is bad."""
    return [
        Outcome(
            unread_event("p", "voucherify", f"ev_{offset}", 0, failure=Failure(code, "") if is_bad else None),
            "failed" if is_bad else "applied",
            (),
            b"",
            offset,
        )
        for offset, is_bad in enumerate(bad, start)
    ]


def test_so_many_in_a_row() -> None:
    """The last of so many in a row is one too many; one that went well begins the row anew."""
    limit = HandlerLimit(consecutive=3, share=1.0)
    assert limit.check(0, outcomes([True, True, False, True, True])) == 4
    with pytest.raises(HandlerLimitError, match="3 times in a row"):
        limit.check(0, outcomes([True], start=5))


def test_so_large_a_share() -> None:
    """Of the last ten events half may fail, in whichever order; older ones count no more."""
    limit = HandlerLimit(consecutive=100, share=0.5, window=10)
    assert limit.check(0, outcomes([True, False] * 10)) == 10
    assert limit.check(0, outcomes([False] * 10, start=20)) == 0
    assert limit.check(0, outcomes([True, False] * 4 + [True], start=30)) == 5
    with pytest.raises(HandlerLimitError, match="6 of the last 10"):
        limit.check(0, outcomes([True], start=39))


def test_a_batch_tried_again_counts_once() -> None:
    """What was counted before a commit failed is not counted again; of another partition it is."""
    limit = HandlerLimit(consecutive=4, share=1.0)
    batch = outcomes([True, True])
    assert (limit.check(0, batch), limit.check(0, batch), limit.check(1, batch[:1])) == (2, 0, 1)
    with pytest.raises(HandlerLimitError):
        limit.check(1, batch)


def test_events_invalid_by_themselves_do_not_count() -> None:
    """A misconfigured sender never stops the worker."""
    limit = HandlerLimit(consecutive=1, share=0.0)
    assert limit.check(0, outcomes([True] * 300, code="invalid_json")) == 0


def test_forgiven() -> None:
    """After a person let it go on, it takes as many again."""
    limit = HandlerLimit(consecutive=2, share=1.0)
    with pytest.raises(HandlerLimitError):
        limit.check(0, outcomes([True, True]))
    limit.forgive()
    assert limit.check(0, outcomes([True], start=2)) == 1
