"""Connections to a server that may grant fewer than there are threads to use them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection, Engine, exc

_AGAIN_SECONDS: Final = 10.0
"""So long only as many connections are used as were granted; then more are asked for."""
_WAIT_SECONDS: Final = 20.0
_TRIES: Final = 3
_SOON_SECONDS: Final = 2.0


class GrantedConnections:
    """Connections of ``engine``, whose pool holds as many as there are threads.

    PostgreSQL limits the connections of a server, a database and a role, and says so in a language that is a
    setting: so when another one cannot be opened while some are held, one of those is waited for.
    """

    def __init__(self, engine: Engine, *, again: float = _AGAIN_SECONDS) -> None:
        self._engine = engine
        self._again = again
        self._changed = threading.Condition()
        self._held = 0
        self._asking = 0
        self._granted = 0
        self._ask_again = 0.0

    @contextmanager
    def one(self) -> Iterator[Connection]:
        """A connection, for a while. Raises what the engine raises, if not even one can be had."""
        connection = self._take()
        try:
            with connection:
                yield connection
        finally:
            with self._changed:
                self._held -= 1
                self._changed.notify()

    def _take(self) -> Connection:
        tries, give_up = _TRIES, time.monotonic() + _SOON_SECONDS
        while True:
            try:
                return self._ask()
            except exc.OperationalError:
                now = time.monotonic()
                with self._changed:
                    others = self._held + self._asking
                    if self._held or (others and now < give_up):
                        self._granted, self._ask_again = others, now + self._again
                        continue
                # A connection that was held a moment ago is in the pool now.
                tries -= 1
                if not tries or now > give_up:
                    raise

    def _ask(self) -> Connection:
        with self._changed:
            self._changed.wait_for(self._may_ask, _WAIT_SECONDS)
            self._asking += 1
        granted = 0
        try:
            connection = self._engine.connect()
            granted = 1
            return connection
        finally:
            with self._changed:
                self._asking -= 1
                self._held += granted
                self._changed.notify()

    def _may_ask(self) -> bool:
        return self._held + self._asking < self._granted or time.monotonic() >= self._ask_again
