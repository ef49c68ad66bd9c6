"""Memory of a service with all roles, on SQLite: when it has just started, and after many events.

python -m benchmarks.memory --events 1000000
"""

import argparse
import contextlib

from benchmarks.client import load, signed
from benchmarks.machine import cores, on_core, resident_mb
from benchmarks.servers import SECRET, SERVE, folder, running, until
from benchmarks.table import Row, row, show
from benchmarks.worker import handled

IDLE_MB, FULL_MB = 120, 250
_AT_ONCE = 20_000


def measure(*, events: int) -> list[Row]:
    """Distinct events, as fast as they are answered; the memory when all are in the bin."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(running(SERVE, stack.enter_context(folder()), {}))
        stack.enter_context(on_core(cores()[1]))
        rows = [row("all in one, idle", memory=resident_mb(server.pid), note=f"RSS < {IDLE_MB}")]
        cpu, seconds, most, sent = server.cpu, 0.0, 0.0, 0
        while sent < events:
            number = min(_AT_ONCE, events - sent)
            answers = load(server.address, signed(number, SECRET), seconds=600, most=number)
            sent += len(answers.seconds)
            seconds += answers.elapsed
            most = max(most, resident_mb(server.pid))
        until(lambda: handled(server) >= events, "all events are in the bin", patience=600, pause=0.5)
        memory = resident_mb(server.pid)
        rows.append(
            row(
                f"all in one, after {events:,} events",
                rate=sent / seconds,
                cpu=(server.cpu - cpu) / sent * 1e6,
                memory=max(most, memory),
                note=f"RSS < {FULL_MB}; CPU from delivery to bin",
            )
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Memory of all roles")
    parser.add_argument("--events", type=int, default=1_000_000)
    show(measure(events=parser.parse_args().events))


if __name__ == "__main__":
    main()
