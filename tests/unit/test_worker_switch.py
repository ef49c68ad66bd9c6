"""What operators are told of workers that do not work."""

from consumer.ops.worker_switch import as_dict, blocking_reasons
from consumer.projection.control_base import ALIVE_SECONDS, Pause, WorkerState, WorkerStop


def test_told_for_people_and_machines() -> None:
    """Who paused them, who has stopped, why and since when; and whether its process still lives."""
    state = WorkerState(
        Pause(0, "ann@host", "moving"),
        [WorkerStop("a", 0, "bad", ALIVE_SECONDS), WorkerStop("b", 0, "worse", ALIVE_SECONDS + 1)],
    )
    since = "1970-01-01T00:00:00.000Z"
    assert blocking_reasons(state) == [
        f"paused since {since} by ann@host: moving",
        f"a stopped by itself at {since}: bad",
        f"b stopped by itself at {since} (its process is gone): worse",
    ]
    assert as_dict(state) == {
        "paused": {"since": since, "by": "ann@host", "reason": "moving"},
        "stopped": [
            {"worker": "a", "since": since, "reason": "bad", "alive": True},
            {"worker": "b", "since": since, "reason": "worse", "alive": False},
        ],
    }


def test_nothing_to_tell() -> None:
    """Nothing keeps them."""
    state = WorkerState(None, [])
    assert (blocking_reasons(state), as_dict(state)) == ([], {"paused": None, "stopped": []})
