"""Logging: one line per thing that happened, JSON unless on a terminal, and cheap.

``log.info("delivery", outcome="stored", …)``: the first argument is the action, one of ``ACTIONS``.
A logger is made once, by the composition root, and passed on. Lines are written together within
``FLUSH_SECONDS``; what is left is written when the output closes.
"""

import asyncio
import atexit
import json
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime
from typing import IO, Any, Final, Literal, TypeAlias, TypedDict

import structlog
from pydantic_core import PydanticSerializationError, to_json
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from consumer.log_output import StreamWriter

Logger: TypeAlias = FilteringBoundLogger
Level: TypeAlias = Literal["debug", "info", "warning", "error", "critical"]

ACTIONS: Final[Mapping[str, str]] = {
    # The process
    "started": "The process is up: version, roles, address.",
    "stopping": "A signal, or the end of a task, stops the process.",
    "stopped": "The process has closed everything; exit code.",
    "task_failed": "A task of the process ended, although it never should; the process stops.",
    "task_cancelled": "A task was not done by the shutdown deadline and was cancelled.",
    "setting_unknown": "A variable of the environment looks like a setting and is none.",
    "log_lines_dropped": "Whoever reads the log was too slow: so many lines are missing here.",
    "library": "A line of a library's own log (uvicorn, aiokafka, …).",
    # Receiver
    "delivery": "One webhook request and its answer.",
    # Event log, spool, relay
    "log_unavailable": "The event log does not answer; deliveries go to the spool where there is one.",
    "log_available": "The event log answers again.",
    "topic_unfit": "The topic, looked at late, is missing or would lose or refuse records.",
    "producer_replaced": "The Kafka producer was given up and a new one made.",
    "circuit_opened": "Deliveries of a partition go straight to the spool.",
    "circuit_closed": "Deliveries of a partition go to Kafka again.",
    "spool_unavailable": "The spool cannot be written; deliveries depend on the event log alone.",
    "relay_started": "This process relays the spool's records to Kafka.",
    "relay_batch": "Records of the spool went to Kafka.",
    "relay_waits": "The relay could not bring its records to Kafka and tries again.",
    "record_set_aside": "Kafka refuses a record of the spool for good: look into it.",
    # Worker
    "batch": "One batch of the worker, committed.",
    "assigned": "The worker took a partition over, and where it goes on.",
    "revoked": "A partition is no longer the worker's.",
    "fenced": "Another worker owns the partition; the batch was rolled back.",
    "standby": "Another worker holds the lease of the log; this one waits.",
    "worker_retry": "A server is away; the worker waits and tries again.",
    "worker_stopped": "The worker stopped until a person decides; the line says what to do.",
    "worker_paused": "An operator wants the worker to wait; it stays in its group.",
    "worker_resumed": "The worker goes on: after a pause, or after it had stopped by itself.",
    "record_isolated": "The database refused data of a batch; the record concerned became a failed event.",
    "event_failed": "An event could not be applied: code and message.",
    "handler_exception": "A handler raised something unexpected; the event failed.",
    "watchdog": "The reader stood still although records wait; it was made anew.",
    # Voucherify's API
    "voucherify_wait": "A request to Voucherify waits: for the rate limit, or to try again after a failure.",
    "voucherify_unknown_type": "Voucherify's bin holds a type of resource that this version does not know.",
    # Reconcile
    "reconcile_started": "Voucherify's bin is being read and compared with the mirror.",
    "reconcile_ended": "A reconcile run came to its end: what it found.",
    "reconcile_failed": "A reconcile run could not go on: why. It is taken up again later.",
    "reconcile_retry": "A server is away; the reconcile run waits and tries again.",
    "webhook_missed": "Vouchers or campaigns were deleted at Voucherify and no webhook told of it.",
    # Topic of entries
    "entries_topic_publishing": "This process publishes the topic of entries.",
    "entries_topic_standby": "Another process publishes the topic of entries; this one waits.",
    "entries_topic_everything": "All entries are published anew, and what is gone is removed: why.",
    "entries_topic_complete": "All entries were published anew: how many, and how many were removed.",
    "entries_topic_retry": "Kafka or the projection is away; the publisher waits and tries again.",
    "entries_topic_fenced": "Another process has taken the topic of entries over.",
    "entries_topic_stopped": "The topic of entries cannot be published to until a person mends something.",
    "entries_topic_failed": "The publisher raised something unexpected; it tries again.",
    # Projection, API
    "projection_unavailable": "The API cannot read the projection yet and tries again.",
    "substring_index": "SUBSTRING_INDEX was changed; how far the index of parts of a key's texts has come.",
    "changes_unreadable": "Followers cannot be told of changes for now: the projection cannot be read.",
    "freshness_unknown": "The projection cannot be asked how fresh it is; its named age grows meanwhile.",
    "request": "A request other than a webhook that went wrong on our side.",
}
"""Every action that binmirror logs, with its meaning. Closed: a test compares it with code and docs."""

FLUSH_SECONDS: Final = 0.05
FLUSH_PATIENCE: Final = 1.0
"""Seconds that the end of the process waits for a stream that does not take its lines."""
_MAX_WAITING: Final = 10_000
"""Lines held at most before a write; a bound for memory, seldom reached."""


class Output:
    """Writes lines to a stream, those of a moment together. Usable from any thread.

    Under an event loop the stream is written by a thread of its own, and nothing here waits for it.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._lines: deque[bytes | _Line] = deque()
        self._lock = threading.Lock()
        self._scheduled = False
        self._writer: StreamWriter | None = None
        atexit.register(self.flush)

    def write(self, line: "bytes | _Line") -> None:
        """Take a line without its end; it is written within FLUSH_SECONDS, or at once outside a loop.

        What is not bytes is made into them when it is written: many lines in a row take half the time.
        """
        self._lines.append(line)
        if self._scheduled and len(self._lines) < _MAX_WAITING:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._hand_over()
            return
        if self._writer is None:
            self._writer = StreamWriter(self._stream)
        if self._scheduled:
            self._hand_over()
            return
        self._scheduled = True
        loop.call_later(FLUSH_SECONDS, self._hand_over)

    def flush(self) -> None:
        """Write what waits; give up on a stream that takes nothing for a while."""
        self._hand_over()
        if self._writer is not None:
            self._writer.drain(FLUSH_PATIENCE)

    def close(self) -> None:
        """Write what waits and go back to writing at once."""
        atexit.unregister(self.flush)
        self.flush()

    def _hand_over(self) -> None:
        with self._lock:
            self._scheduled = False
            # Others may go on adding meanwhile: what came before is taken out one by one.
            waiting = [self._lines.popleft() for _ in range(len(self._lines))]
            if not waiting:
                return
            lines = [line if isinstance(line, bytes) else _json_line(*line) for line in waiting]
            lines.append(b"")
            piece = b"\n".join(lines)
            if self._writer is not None:
                self._writer.put(piece, len(waiting))
                return
            try:
                self._stream.write(piece)
                self._stream.flush()
            except (OSError, ValueError):
                return  # a stream that is gone never takes the service down

    # structlog calls the method named like the level.
    debug = info = warning = error = critical = write
    msg = write


_filtering: Final = structlog.make_filtering_bound_logger


class Form(TypedDict):
    """How structlog makes lines: arguments of ``wrap_logger`` and ``configure``."""

    processors: Sequence[Processor]
    wrapper_class: type[FilteringBoundLogger]
    context_class: type[dict[str, Any]]


def form_of(*, level: Level, console: bool, colors: bool = False) -> Form:
    """JSON lines, or aligned text for people; nothing below ``level``."""
    return {
        "processors": [_console(colors=colors) if console else render_json],
        "wrapper_class": _filtering(level) if console else _direct(level),
        "context_class": dict,
    }


def create_log(output: Output, *, level: Level, console: bool, colors: bool = False) -> Logger:
    """A logger that writes to ``output``."""
    form = form_of(level=level, console=console, colors=colors)
    logger: Logger = structlog.wrap_logger(output, **form).bind()
    return logger


_Line: TypeAlias = tuple[int, str, object, MutableMapping[str, Any]]
"""A line of JSON before it is written: nanoseconds since the epoch, level, action, fields."""


class _Stamp:
    """ISO 8601 in UTC with milliseconds; the text of a second is made once."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def __call__(self, nanoseconds: int) -> str:
        milliseconds = nanoseconds // 1_000_000
        second = milliseconds // 1000
        if second != self._second:
            self._text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.")
            self._second = second
        return f"{self._text}{milliseconds - second * 1000:03}Z"


_stamp = _Stamp()


def render_json(_: WrappedLogger, level: str, event: EventDict) -> tuple[tuple[bytes], dict[str, object]]:
    """The whole chain in one step: a JSON object as bytes, always one line."""
    return (_json_line(time.time_ns(), level, event.pop("event", ""), event),), {}


def _direct(level: Level) -> Any:  # noqa: ANN401 - the class is made at run time
    """A class of structlog's without the chain, which is one step, and without the checks around it."""
    kind: Any = _filtering(level)

    class Direct(kind):  # type: ignore[misc]  # as above
        def _proxy_to_logger(self, level: str, event: str | None = None, **fields: object) -> None:
            self._logger.write(_json_line(time.time_ns(), level, event or "", {**self._context, **fields}))

        if level in {"debug", "info"}:
            # Only what is no more than information may wait: a traceback must be made where it is.
            def info(self, event: str, **fields: object) -> None:
                if self._context:
                    fields = {**self._context, **fields}
                self._logger.write((time.time_ns(), "info", event, fields))

    return Direct


def _json_line(nanoseconds: int, level: str, action: object, fields: MutableMapping[str, Any]) -> bytes:
    if fields.get("exc_info"):
        fields["exception"] = _format_exception(fields.pop("exc_info"))
    line = {"time": _stamp(nanoseconds), "level": level, "action": action, **fields}
    try:
        return to_json(line, inf_nan_mode="strings", fallback=repr)
    except (PydanticSerializationError, UnicodeError, ValueError):
        return json.dumps(line, default=repr).encode()


def _console(
    *, colors: bool
) -> Callable[[WrappedLogger, str, EventDict], tuple[tuple[bytes], dict[str, object]]]:
    renderer = structlog.dev.ConsoleRenderer(
        colors=colors, exception_formatter=structlog.dev.plain_traceback, pad_event_to=16
    )

    def render(logger: WrappedLogger, level: str, event: EventDict) -> tuple[tuple[bytes], dict[str, object]]:
        event["timestamp"] = _stamp(time.time_ns())
        event["level"] = level
        event = structlog.processors.format_exc_info(logger, level, event)
        shown = {name: _harmless(value) if isinstance(value, str) else value for name, value in event.items()}
        text = renderer(logger, level, shown)
        return (str(text).encode("utf-8", "backslashreplace"),), {}

    return render


def _harmless(text: str) -> str:
    """``text`` as a terminal shows it and never obeys it: anybody may choose the path of a request."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character == "\n" else ascii(character)[1:-1]
        for character in text
    )


def _format_exception(exc_info: object) -> str:
    if isinstance(exc_info, BaseException):
        return "".join(traceback.format_exception(exc_info))
    if isinstance(exc_info, tuple):
        return "".join(traceback.format_exception(*exc_info))
    return traceback.format_exc()
