"""Deliveries answered a second by a receiver alone, beside a bare application with the same durable write.

    python -m benchmarks.receiver --log sqlite
    python -m benchmarks.receiver --log kafka

The receiver runs as its users start it, with its metrics and one line of log for each delivery, alone on one
core; the client, and the broker, on the other. The two are measured in turn, again and again, so that what
else the machine does strikes both; shown are the medians of their turns.
"""

import argparse
import contextlib
from statistics import median
from typing import NamedTuple

from benchmarks.client import Answers, Signed, load, signed
from benchmarks.machine import cores, on_core, resident_mb
from benchmarks.servers import BARE, SECRET, SERVE, Server, folder, kafka_broker, running
from benchmarks.table import Row, row, show

PER_SECOND, P99_MS, RATIO = 11_000, 30, 0.70
_PARTITIONS = 6


class Turn(NamedTuple):
    """One slice of one server's time."""

    answers: Answers
    cpu: float
    """Microseconds for each delivery."""


def measure(log: str, *, seconds: float, turns: int, connections: int) -> list[Row]:
    """The receiver and the bare application on one kind of log."""
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(kafka_broker()) if log == "kafka" else None
        requests = signed(min(20_000, int(20_000 * seconds)), SECRET)
        servers: dict[str, Server] = {}
        for name, command in (("receiver", (*SERVE, "--role", "receiver")), ("bare", BARE)):
            settings = {}
            if broker is not None:
                broker.create_topic(f"{name}-events", partitions=_PARTITIONS)
                settings["EVENT_LOG"] = f"kafka://{broker.bootstrap}/{name}-events"
            servers[name] = stack.enter_context(running(command, stack.enter_context(folder()), settings))
        stack.enter_context(on_core(cores()[1]))
        for server in servers.values():
            load(server.address, requests, connections=connections, seconds=1.0)
        taken: dict[str, list[Turn]] = {name: [] for name in servers}
        for _ in range(turns):
            for name, server in servers.items():
                taken[name].append(_turn(server, requests, connections, seconds))
        memory = resident_mb(servers["receiver"].pid)
    ours, bare = taken["receiver"], taken["bare"]
    by_rate = median(turn.answers.rate for turn in ours) / median(turn.answers.rate for turn in bare)
    by_cpu = median(turn.cpu for turn in bare) / median(turn.cpu for turn in ours)
    note = (
        f"≥ {PER_SECOND:,}/s, p99 < {P99_MS}, ≥ {RATIO:.2f} of the bare one: "
        f"{by_rate:.2f} by rate, {by_cpu:.2f} by CPU"
    )
    return [
        _row(f"receiver, {log}", ours, memory, note),
        _row(f"bare application, {log}", bare, None, ""),
    ]


def _turn(server: Server, requests: list[Signed], connections: int, seconds: float) -> Turn:
    before = server.cpu
    answers = load(server.address, requests, connections=connections, seconds=seconds)
    if answers.refused:
        raise RuntimeError(f"{answers.refused} deliveries were not answered with 202")
    return Turn(answers, (server.cpu - before) / len(answers.seconds) * 1e6)


def _row(what: str, turns: list[Turn], memory: float | None, note: str) -> Row:
    return row(
        what,
        rate=median(turn.answers.rate for turn in turns),
        p50=median(turn.answers.milliseconds(0.50) for turn in turns),
        p99=median(turn.answers.milliseconds(0.99) for turn in turns),
        cpu=median(turn.cpu for turn in turns),
        memory=memory,
        note=note,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Deliveries a second")
    parser.add_argument("--log", choices=["sqlite", "kafka"], default="sqlite")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a turn")
    parser.add_argument("--turns", type=int, default=5, help="of each of the two")
    parser.add_argument("--connections", type=int, default=64)
    options = parser.parse_args()
    show(measure(options.log, seconds=options.seconds, turns=options.turns, connections=options.connections))


if __name__ == "__main__":
    main()
