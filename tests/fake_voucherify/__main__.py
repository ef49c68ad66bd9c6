"""``python -m tests.fake_voucherify --port 9000 --entries 1000000``: the fake, for trials by hand."""

import argparse
import sys

from tests.fake_voucherify.app import APP_ID, APP_TOKEN, FakeVoucherify, RateRule
from tests.fake_voucherify.control import Controlled, misbehave
from tests.fake_voucherify.server import listen, make_server


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fake_voucherify", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--entries", type=int, default=0, help="made-up entries in the bin")
    parser.add_argument("--app-id", default=APP_ID)
    parser.add_argument("--app-token", default=APP_TOKEN)
    parser.add_argument("--limit", type=int, default=0, help="requests in a period; 0 is no limit")
    parser.add_argument("--period", type=float, default=60.0, help="seconds of a period")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME[:times=N,after=N,method=M]",
        help="answer so (see control.py; later: POST /_fake?fault=…); may be repeated",
    )
    wanted = parser.parse_args()
    rate = RateRule(wanted.limit, wanted.period) if wanted.limit else None
    fake = FakeVoucherify(app_id=wanted.app_id, app_token=wanted.app_token, rate=rate)
    fake.remember = False
    fake.bin.fill(wanted.entries)
    for spec in wanted.fault:
        misbehave(fake, spec)
    listener = listen(wanted.port)
    sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    make_server(Controlled(fake)).run(sockets=[listener])


if __name__ == "__main__":
    main()
