"""What ``binmirror send`` says of many answers."""

from consumer.cli.sending import Answer, Summary


def test_summary() -> None:
    """Answers are counted by status; half took no longer than p50, all but a hundredth than p99."""
    summary = Summary(elapsed=2.0)
    for number in range(1, 101):
        status = None if number == 100 else 503 if number > 90 else 202
        summary.add(Answer(number, status, number / 1000, ""))
    assert summary.as_dict() == {
        "sent": 100,
        "accepted": 90,
        "answers": {"202": 90, "503": 9, "no answer": 1},
        "per_second": 50.0,
        "p50_milliseconds": 51.0,
        "p99_milliseconds": 100.0,
    }


def test_nothing_sent() -> None:
    """Where nothing was sent there is nothing to divide."""
    found = Summary().as_dict()
    assert (found["sent"], found["per_second"], found["p50_milliseconds"]) == (0, None, None)
