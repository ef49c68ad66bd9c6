"""When handler exceptions are so many that the deployment, not the events, must be at fault."""

from collections import deque
from collections.abc import Sequence

from consumer.errors import HandlerLimitError
from consumer.projection.base import Outcome
from consumer.worker.interpret import HANDLER_ERROR


class HandlerLimit:
    """Counts unexpected handler exceptions, in a row and as a share of the last ``window`` events.

    Events that are invalid by themselves do not count: a misconfigured sender never stops the worker.
    """

    def __init__(self, *, consecutive: int = 20, share: float = 0.5, window: int = 200) -> None:
        self._consecutive = consecutive
        self._most = int(share * window)
        self._recent: deque[bool] = deque(maxlen=window)
        self._in_a_row = 0
        self._raised = 0
        self._counted: dict[int, int] = {}

    def check(self, partition: int, outcomes: Sequence[Outcome]) -> int:
        """Take a batch in; the number of exceptions in it. A batch tried again counts once.

        Raises:
            HandlerLimitError: the batch must not be committed.
        """
        raised = 0
        counted = self._counted.get(partition, 0)
        self._counted[partition] = max(counted, outcomes[-1].offset + 1)
        for outcome in outcomes:
            if outcome.offset < counted:
                continue
            failure = outcome.event.failure
            bad = failure is not None and failure.code == HANDLER_ERROR
            if not bad and not self._raised:
                self._in_a_row = 0
                continue  # nothing to remember: the window holds no exception
            raised += bad
            self._remember(bad=bad)
            self._in_a_row = self._in_a_row + 1 if bad else 0
            if self._in_a_row >= self._consecutive or self._raised > self._most:
                raise HandlerLimitError(
                    f"handlers raised {self._in_a_row} times in a row, {self._raised} of the last "
                    f"{len(self._recent)} events (last: {outcome.event.type}). Nothing of this batch was "
                    "written. Mend the handler or go back to the former version, then restart the worker; or "
                    "let these events fail with `binmirror worker resume`, and redrive them later."
                )
        return raised

    def forgive(self) -> None:
        """A person lets it go on: the batch that was one too many counts no more."""
        self._recent.clear()
        self._in_a_row = self._raised = 0

    def _remember(self, *, bad: bool) -> None:
        if len(self._recent) == self._recent.maxlen:
            self._raised -= self._recent[0]
        self._recent.append(bad)
        self._raised += bad
