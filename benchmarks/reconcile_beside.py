"""What a full reconcile run takes from the receiver beside it: ``python -m benchmarks.reconcile_beside``.

The receiver has one core; the client that fills it, the fake Voucherify and the worker share the other. The
command runs as its users start it, wherever there is time left. Turns with and without it alternate.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median

from benchmarks.client import Signed, load, signed
from benchmarks.machine import cores, on_core
from benchmarks.reconcile import first_line
from benchmarks.reconcile import running as started
from benchmarks.servers import SECRET, SERVE, Server, folder, running
from consumer.settings import clean_environment
from tests.fake_voucherify.app import APP_ID, APP_TOKEN


@contextlib.contextmanager
def reconciling(env: Mapping[str, str], report: Path) -> Iterator[None]:
    """A full run for as long as the block lasts; a run that ends before begins anew."""
    with report.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "consumer", "reconcile", "--full", "--json"], env=env, stdout=output
        )
    try:
        time.sleep(2.0)  # its start is not what is measured
        yield
        if process.poll() is not None:
            raise RuntimeError("the run ended before the turn did: take more --entries")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description="The receiver's rate while a full reconcile run goes on")
    parser.add_argument("--entries", type=int, default=300_000)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a turn")
    parser.add_argument("--turns", type=int, default=4, help="of each of the two")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(folder())
        requests = signed(20_000, SECRET)
        receiver = stack.enter_context(running((*SERVE, "--role", "receiver"), place, {}))
        with on_core(cores()[1]):
            fake = ("-m", "tests.fake_voucherify", "--entries", str(options.entries))
            stack.enter_context(started(*fake, env=dict(os.environ), output=place / "fake"))
        env = clean_environment(
            {
                "EVENT_LOG": f"sqlite:///{place}/log.db",
                "PROJECTION": f"sqlite:///{place}/bin.db",
                "VOUCHERIFY_URL": first_line(place / "fake"),
                "VOUCHERIFY_APP_ID": APP_ID,
                "VOUCHERIFY_APP_TOKEN": APP_TOKEN,
            }
        )
        rates: dict[str, list[float]] = {"alone": [], "beside": []}
        for _ in range(options.turns):
            rates["alone"].append(_rate(receiver, requests, options.seconds))
            with reconciling(env, place / "report"):
                rates["beside"].append(_rate(receiver, requests, options.seconds))
    alone, beside = median(rates["alone"]), median(rates["beside"])
    print(json.dumps({"alone": round(alone), "beside": round(beside), "ratio": round(beside / alone, 3)}))


def _rate(server: Server, requests: list[Signed], seconds: float) -> float:
    with on_core(cores()[1]):
        answers = load(server.address, requests, connections=64, seconds=seconds)
    if answers.refused:
        raise RuntimeError(f"{answers.refused} deliveries were not answered with 202")
    return answers.rate


if __name__ == "__main__":
    main()
