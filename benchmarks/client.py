"""The load: signed requests made beforehand, sent over keep-alive connections, answers hardly looked at.

It shares its core with a broker or a database, so it must cost little: raw sockets, one ``epoll``, one
``send`` and one ``recv`` for each delivery.
"""

import select
import socket
import time
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import NamedTuple

from schemas.samples import OCCURRED_AT, fresh_id, sign, voucher_deleted

PATH = "/webhooks/voucherify"
_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"content-length: "
_ACCEPTED = b"HTTP/1.1 202"
_PATIENCE = 15.0
"""Seconds without any answer after which it gives up."""


class Signed(NamedTuple):
    """A delivery, ready to be sent."""

    voucher_id: str
    data: bytes


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of ``values`` do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def signed(number: int, secret: bytes) -> list[Signed]:
    """Distinct voucher.deleted deliveries of some 2 KB, complete with their heads."""
    made = []
    for index in range(number):
        voucher_id = fresh_id("v_")
        body = voucher_deleted(
            voucher_id=voucher_id,
            campaign_id=f"camp_{index % 50}" if index % 2 else None,
            occurred_at=OCCURRED_AT + index * 1_000,
        )
        head = (
            f"POST {PATH} HTTP/1.1\r\nhost: bench.example.com\r\ncontent-type: application/json\r\n"
            f"user-agent: benchmark\r\naccept: */*\r\n"
            f"x-voucherify-signature: {sign(secret, body)}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        made.append(Signed(voucher_id, head.encode() + body))
    return made


class _Connection:
    """One delivery at a time."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=_PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.started = 0.0
        self.received = b""
        self.voucher_id = ""

    def send(self, request: Signed) -> None:
        self.voucher_id = request.voucher_id
        self.received = b""
        self.started = time.perf_counter()
        self.socket.sendall(request.data)

    def receive(self) -> bool:
        """Whether the answer is complete."""
        data = self.socket.recv(65_536)
        if not data:
            raise ConnectionError("the server closed a connection")
        self.received += data
        head, end, body = self.received.partition(_END_OF_HEAD)
        if not end:
            return False
        _, _, length = head.partition(_LENGTH)
        return len(body) >= int(length.partition(b"\r\n")[0])


class Answers:
    """What came back."""

    def __init__(self, accepted: bytes = _ACCEPTED) -> None:
        self.elapsed = 0.0
        self.refused = 0
        """Answers that did not start with ``accepted``."""
        self._accepted = accepted
        self.seconds: list[float] = []
        """Of each delivery, from its first byte sent to its last byte received."""

    @property
    def rate(self) -> float:
        return len(self.seconds) / self.elapsed

    def milliseconds(self, share: float) -> float:
        return percentile(self.seconds, share) * 1000

    def note(self, connection: _Connection) -> None:
        """``connection`` has just got its answer."""
        self.seconds.append(time.perf_counter() - connection.started)
        self.refused += not connection.received.startswith(self._accepted)


class _Pace:
    """When to send the next one, and when no more."""

    def __init__(self, seconds: float, most: int, rate: float | None) -> None:
        self._most = most
        self._rate = rate
        self.started = time.perf_counter()
        self._until = self.started + seconds
        self.sent = 0

    @property
    def over(self) -> bool:
        return self.sent >= self._most or time.perf_counter() >= self._until

    @property
    def due(self) -> bool:
        if self.over:
            return False
        return self._rate is None or self.sent <= (time.perf_counter() - self.started) * self._rate

    @property
    def wait(self) -> float:
        """Seconds to wait for answers before looking again whether one is due."""
        return _PATIENCE if self._rate is None or self.over else 0.001


def load(
    address: tuple[str, int],
    requests: Sequence[Signed],
    *,
    connections: int = 64,
    seconds: float = 10.0,
    most: int = 10_000_000,
    rate: float | None = None,
    answered: Callable[[str], None] | None = None,
    accepted: bytes = _ACCEPTED,
) -> Answers:
    """Send for ``seconds``, and no more than ``most`` deliveries; the same again when they are used up.

    Without ``rate`` (a second) each connection sends as soon as it has its answer. ``answered`` gets the
    voucher's id with each answer.
    """
    answers = Answers(accepted)
    everyone = {each.socket.fileno(): each for each in (_Connection(address) for _ in range(connections))}
    idle = list(everyone.values())
    following = cycle(requests)
    with select.epoll() as poll:
        for number in everyone:
            poll.register(number, select.EPOLLIN)
        pace = _Pace(seconds, most, rate)
        while True:
            while idle and pace.due:
                idle.pop().send(next(following))
                pace.sent += 1
            if len(idle) == connections and pace.over:
                break
            wait = pace.wait
            events = poll.poll(wait)
            if not events and wait == _PATIENCE:
                raise TimeoutError(f"no answer in {_PATIENCE:g} s")
            for connection in (everyone[number] for number, _ in events):
                if connection.receive():
                    answers.note(connection)
                    idle.append(connection)
                    if answered is not None:
                        answered(connection.voucher_id)
        answers.elapsed = time.perf_counter() - pace.started
    for connection in everyone.values():
        connection.socket.close()
    return answers
