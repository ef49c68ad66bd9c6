"""Lookups a second by an API process alone, beside a bare route of the same process.

    python -m benchmarks.lookups --projection sqlite
    python -m benchmarks.lookups --projection postgres

The projection holds a million vouchers, half of them in campaigns, every tenth also seen alive by an event.
It is filled by plain SQL, not by a worker. Codes are asked for one by one over 64 connections, as fast as
they are answered and at the rate that is the target; then a thousand at a time over one connection. Over
that one also a code that was updated 50,000 times, and the numbers of a month's events.
"""

import argparse
import contextlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from http.client import HTTPConnection
from statistics import median
from urllib.parse import quote

from sqlalchemy import text

from benchmarks.client import Answers, Signed, load, percentile
from benchmarks.machine import cores, on_core, resident_mb
from benchmarks.servers import CREDENTIALS, SERVE, Server, folder, postgres, running
from benchmarks.table import Row, row, show
from consumer.projection.engines import open_engine
from consumer.projection.migrate import migrate
from consumer.projection.payloads import PayloadCodec
from schemas.samples import voucher_alive

PER_SECOND = {"sqlite": 6_000, "postgres": 4_500}
P99_MS, MANY_MS = 8, 25
UPDATES = 50_000
_OK = b"HTTP/1.1 200"
_SPREAD, _RANGE = 2_654_435_761, 1 << 32
_MOMENT = 1_720_000_000_000_000
_DAYS = 30

_ENTRIES = """
INSERT INTO bin_entries (project, resource_type, resource_id, sort_key, provisional_id, state, evidence_at,
  evidence_event_id, created_at, resource_name, resource_parent_id, snapshot_event_id, snapshot_occurred_at,
  changed_partition, changed_offset)
SELECT 'default', 'voucher', 'v_' || {code}, 'tbe_' || {code}, 'tbe_' || {code}, 'in_bin', {moment} + n,
  'evvou_' || {code}, {moment} + n, 'CODE-' || {code},
  CASE WHEN n % 2 = 0 THEN 'camp_' || (n % 50) END, 'evvou_' || {code}, {moment} + n, 0, n
FROM {numbers}
"""
_EVENTS = """
INSERT INTO events (project, event_id, source, type, occurred_at, received_at, delivery_id, resource_type,
  resource_id, resource_name, status, attempts, deliveries, log_partition, log_offset, payload)
SELECT 'default', 'seen_' || {code}, 'voucherify', 'voucher.created', {moment} - n - 1, {received},
  'whs_' || n, 'voucher', 'v_' || {code}, 'CODE-' || {code}, 'applied', 1, 1, 0, n, :payload
FROM {numbers} WHERE n % 10 = 0
UNION ALL SELECT 'default', 'often_' || n, 'voucherify', 'voucher.updated', {moment} + n, {received},
  'whs_' || n, 'voucher', 'v_often', 'OFTEN', 'applied', 1, 1, 0, n, :payload
FROM {numbers} WHERE n < {updates}
"""
_WORDS = {
    "sqlite": {
        "code": f"printf('%08X', (n * {_SPREAD}) % {_RANGE})",
        "numbers": "(WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n + 1 < {most}) "
        "SELECT n FROM c) AS numbers",
    },
    "postgres": {
        "code": f"upper(lpad(to_hex((n * {_SPREAD}) % {_RANGE}), 8, '0'))",
        "numbers": "generate_series(0::bigint, {most} - 1) AS numbers(n)",
    },
}


def code_of(number: int) -> str:
    """The code of the voucher with this number."""
    return f"CODE-{number * _SPREAD % _RANGE:08X}"


def fill(address: str, kind: str, entries: int) -> None:
    """A migrated projection with ``entries`` vouchers."""
    migrate(address)
    words = {name: value.format(most=entries) for name, value in _WORDS[kind].items()}
    now = time.time_ns() // 1000
    words["received"] = f"{now} - n * {_DAYS - 1} * 86400000000 / {entries}"
    payload = PayloadCodec().pack(voucher_alive(code="CODE", voucher_id="v_1", campaign_id="camp_1"))
    database = open_engine(address, "migrate")
    for statement, values in ((_ENTRIES, {}), (_EVENTS, {"payload": payload})):
        with database.engine.begin() as connection:
            connection.execute(
                text(statement.format(moment=_MOMENT, updates=UPDATES, **words).replace("::", "\\:\\:")),
                values,
            )
    if kind == "postgres":
        # As autovacuum would do before long, in the middle of the measurement.
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
            connection.execute(text("CHECKPOINT"))
    database.engine.dispose()
    os.sync()  # what was written now is not written during the measurement


def _requests(entries: int) -> list[Signed]:
    head = "".join(f"{name.lower()}: {value}\r\n" for name, value in CREDENTIALS.items())
    codes = [code_of(number * 7_919 % entries) for number in range(20_000)]
    return [
        Signed(code, f"GET /mirror/v1/vouchers/{quote(code)} HTTP/1.1\r\nhost: b\r\n{head}\r\n".encode())
        for code in codes
    ]


def _calls(server: Server, method: str, path: str, bodies: Sequence[str | None], verdict: str) -> list[float]:
    """Milliseconds of calls one after another, each until its answer is read; ``verdict`` is all they say."""
    connection = HTTPConnection(*server.address, timeout=10)
    found = []
    for body in bodies:
        started = time.perf_counter()
        connection.request(method, path, body, CREDENTIALS)
        answer = connection.getresponse().read()
        found.append((time.perf_counter() - started) * 1000)
        told = json.loads(answer)
        assert {each["verdict"] for each in told.get("data", [told])} == {verdict}
    return found


def _thousands(entries: int) -> list[str | None]:
    """Bodies that ask for a thousand codes each."""
    asked = [
        [code_of((turn * 1_000 + number) * 104_729 % entries) for number in range(1_000)]
        for turn in range(40)
    ]
    return [json.dumps({"lookups": [{"code": code} for code in codes]}) for codes in asked]


def _seconds_of(server: Server, path: str) -> float:
    started = time.perf_counter()
    status, _ = server.get(path)
    assert status == HTTPStatus.OK
    return time.perf_counter() - started


@contextlib.contextmanager
def _projection(kind: str) -> Iterator[dict[str, str]]:
    with contextlib.ExitStack() as stack:
        if kind == "sqlite":
            yield {"PROJECTION": f"sqlite:///{stack.enter_context(folder())}/bin.db"}
        else:
            yield {"PROJECTION": stack.enter_context(postgres()).create_database()}


def measure(kind: str, *, entries: int, seconds: float, turns: int, connections: int) -> list[Row]:
    """Lookups on one kind of projection."""
    with contextlib.ExitStack() as stack:
        settings = stack.enter_context(_projection(kind))
        fill(settings["PROJECTION"], kind, entries)
        server = stack.enter_context(
            running((*SERVE, "--role", "api"), stack.enter_context(folder()), settings)
        )
        stack.enter_context(on_core(cores()[1]))
        asked = {
            "lookups": _requests(entries),
            "bare": [Signed("", b"GET /health/live HTTP/1.1\r\nhost: b\r\n\r\n")],
        }
        taken: dict[str, list[tuple[Answers, float]]] = {name: [] for name in asked}
        for turn in range(turns + 1):
            for name, requests in asked.items():
                before = server.cpu
                answers = load(
                    server.address, requests, connections=connections, seconds=seconds, accepted=_OK
                )
                if answers.refused:
                    raise RuntimeError(f"{answers.refused} answers were not 200")
                if turn:  # the first warms up
                    cpu = (server.cpu - before) / len(answers.seconds) * 1e6
                    taken[name].append((answers, cpu))
        paced = load(
            server.address,
            asked["lookups"],
            connections=connections,
            seconds=2 * seconds,
            rate=PER_SECOND[kind],
            accepted=_OK,
        )
        many = _calls(server, "POST", "/mirror/v1/lookups", _thousands(entries), "dead")
        often = _calls(server, "GET", "/mirror/v1/vouchers/OFTEN", [None] * 40, "unknown")
        stats = [_seconds_of(server, f"/mirror/v1/stats?days={_DAYS}") * 1000 for _ in range(10)]
        memory = resident_mb(server.pid)
    share = median(each.rate for each, _ in taken["lookups"]) / median(each.rate for each, _ in taken["bare"])
    note = f"≥ {PER_SECOND[kind]:,}/s; {share:.2f} of the bare route"
    return [
        _row(f"lookups, {kind}", taken["lookups"], note, memory),
        row(
            f"lookups, {kind} ({PER_SECOND[kind]:,}/s asked)",
            rate=paced.rate,
            p50=paced.milliseconds(0.5),
            p99=paced.milliseconds(0.99),
            note=f"p99 < {P99_MS}",
        ),
        _row("bare route (/health/live)", taken["bare"], "", None),
        row(
            f"1,000 codes a call, {kind}",
            p50=percentile(many, 0.5),
            p99=percentile(many, 0.99),
            note=f"< {MANY_MS}, until the answer is read",
        ),
        row(
            f"a code with {UPDATES:,} updates, {kind}",
            p50=percentile(often, 0.5),
            p99=percentile(often, 0.99),
        ),
        row(
            f"/mirror/v1/stats?days={_DAYS}, {kind}",
            p50=percentile(stats, 0.5),
            p99=percentile(stats, 0.99),
            note=f"{entries // 10 + min(UPDATES, entries):,} events",
        ),
    ]


def _row(what: str, turns: list[tuple[Answers, float]], note: str, memory: float | None) -> Row:
    return row(
        what,
        rate=median(each.rate for each, _ in turns),
        p50=median(each.milliseconds(0.5) for each, _ in turns),
        p99=median(each.milliseconds(0.99) for each, _ in turns),
        cpu=median(cpu for _, cpu in turns),
        memory=memory,
        note=note,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Lookups a second")
    parser.add_argument("--projection", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    options = parser.parse_args()
    show(
        measure(
            options.projection,
            entries=options.entries,
            seconds=options.seconds,
            turns=options.turns,
            connections=options.connections,
        )
    )


if __name__ == "__main__":
    main()
