"""All benchmarks, one after the other, and their table: ``make bench``, or with less patience
``make bench ARGS=--quick``. Each can be run alone: ``python -m benchmarks.receiver --help``, and so on.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import partial

from benchmarks import changes, latency, lookups, memory, receiver, topic, worker
from benchmarks.table import Row, show


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="All benchmarks")
    parser.add_argument("--quick", action="store_true", help="a tenth of the time, and rougher numbers")
    share = 0.1 if parser.parse_args().quick else 1.0
    turns = max(1, round(6 * share))
    events = int(200_000 * share)
    benchmarks: Sequence[Callable[[], list[Row]]] = [
        partial(receiver.measure, "sqlite", seconds=3, turns=turns, connections=64),
        partial(receiver.measure, "kafka", seconds=3, turns=turns, connections=64),
        partial(worker.measure, "sqlite", "sqlite", events=events),
        partial(worker.measure, "sqlite", "sqlite", events=events, one_core=True),
        partial(worker.measure, "sqlite", "postgres", events=events),
        partial(worker.measure, "kafka", "postgres", events=events),
        partial(latency.measure, rate=500, seconds=20 * share),
        partial(topic.measure, rate=500, seconds=20 * share),
        partial(topic.measure_everything, entries=int(1_000_000 * share)),
        partial(changes.measure, rate=500, seconds=max(1.0, 15 * share), readers=1000),
        *(
            partial(
                lookups.measure,
                kind,
                entries=int(1_000_000 * share),
                seconds=2,
                turns=max(1, turns // 2),
                connections=64,
            )
            for kind in ("sqlite", "postgres")
        ),
        partial(memory.measure, events=int(1_000_000 * share)),
    ]
    rows: list[Row] = []
    for benchmark in benchmarks:
        measured = benchmark()
        for row in measured:
            print(f"… {row.what}", flush=True)
        rows += measured
    print()
    show(rows)


if __name__ == "__main__":
    main()
