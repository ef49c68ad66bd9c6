import asyncio
import io
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from consumer.log import FLUSH_SECONDS, Logger, Output, create_log
from consumer.log_libraries import LibraryHandler, adopt_libraries
from schemas.times import parse_time


class Sink(io.BytesIO):
    """Keeps what was written; may be told to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.written = threading.Event()
        self.error: Exception | None = None

    def write(self, data: Any, /) -> int:
        if self.error is not None:
            raise self.error
        self.writes += 1
        self.written.set()
        return super().write(data)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


def raise_lookup_error() -> None:
    raise LookupError("gone")


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def output(sink: Sink) -> Iterator[Output]:
    output = Output(sink)
    yield output
    output.close()


@pytest.fixture
def log(output: Output) -> Logger:
    return create_log(output, level="info", console=False)


def test_line_is_json_with_time_level_and_action(log: Logger, sink: Sink) -> None:
    """A line is one JSON object: when, how grave, what, and its fields in order."""
    log.info("delivery", outcome="stored", status=202, offset=None)
    (line,) = sink.lines
    assert list(line) == ["time", "level", "action", "outcome", "status", "offset"]
    assert parse_time(line["time"]) > 0
    assert line["time"].endswith("Z")
    assert (line["level"], line["action"], line["status"]) == ("info", "delivery", 202)


@pytest.mark.parametrize(
    "value", ["new\nline", "\u2028", "\ud800", b"\xff\x00", float("nan"), object(), {1: {2}}]
)
def test_any_value_makes_one_line(log: Logger, sink: Sink, value: object) -> None:
    """Whatever a field holds, the line is written and stays one line."""
    log.info("delivery", value=value)
    assert sink.getvalue().count(b"\n") == 1
    assert sink.getvalue().startswith(b'{"time"')


def test_level_filters(log: Logger, sink: Sink) -> None:
    """Lines below the level are not written."""
    log.debug("delivery")
    log.warning("delivery")
    assert [line["level"] for line in sink.lines] == ["warning"]


def test_bound_fields_come_along(log: Logger, sink: Sink) -> None:
    """A logger bound to fields writes them with every line."""
    log.bind(partition=3).info("batch")
    assert sink.lines[0]["partition"] == 3


def test_exception_is_one_field(log: Logger, sink: Sink) -> None:
    """The traceback of an exception is a field of its line."""
    try:
        raise_lookup_error()
    except LookupError:
        log.exception("task_failed")
    assert "LookupError: gone" in sink.lines[0]["exception"]


def test_console_for_people(output: Output, sink: Sink) -> None:
    """On a terminal a line is aligned text."""
    create_log(output, level="info", console=True).info("delivery", outcome="stored")
    text = sink.getvalue().decode()
    assert "delivery" in text
    assert "outcome=stored" in text
    assert not text.startswith("{")


def test_terminal_is_never_obeyed(output: Output, sink: Sink) -> None:
    """Control characters that somebody sent us are shown on a terminal, in exceptions too."""
    log = create_log(output, level="info", console=True)
    log.error("task_failed", path="/\x1b[2J\x9b\r", name="é", exc_info=LookupError("\x1b[31m"))
    text = sink.getvalue().decode()
    assert r"/\x1b[2J\x9b\r" in text
    assert r"LookupError: \x1b[31m" in text
    assert "name=é" in text
    assert not {"\x1b", "\x9b", "\r"} & set(text)


async def test_lines_of_a_moment_are_written_together(log: Logger, sink: Sink, output: Output) -> None:
    """In a running loop lines wait a little, then go out in one write; closing writes the rest."""
    for number in range(100):
        log.info("delivery", number=number)
    assert sink.writes == 0
    assert await asyncio.to_thread(sink.written.wait, FLUSH_SECONDS * 100)
    assert sink.writes == 1
    assert [line["number"] for line in sink.lines] == list(range(100))
    log.info("delivery")
    output.close()
    assert len(sink.lines) == 101


async def test_memory_is_bounded(log: Logger, sink: Sink) -> None:
    """A loop that never yields does not pile up lines for ever."""
    for _ in range(10_001):
        log.info("delivery")
    assert await asyncio.to_thread(sink.written.wait, FLUSH_SECONDS * 100)
    assert sink.writes >= 1


class Pipe(io.BytesIO):
    """The writing end of a pipe that somebody reads late, or never."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.taken: list[bytes] = []

    def write(self, data: Any, /) -> int:
        assert self.let_go.wait(30)
        self.taken.append(bytes(data))
        return len(data)


async def test_reader_that_hangs() -> None:
    """Lines that nobody takes do not hold anybody up: they wait, then are dropped and counted."""
    pipe = Pipe()
    output = Output(pipe)
    log = create_log(output, level="info", console=False)
    for _ in range(40):
        log.error("delivery", text="x" * 1_000_000)
        output._hand_over()
    pipe.let_go.set()
    output.close()
    lines = [json.loads(line) for line in b"".join(pipe.taken).splitlines()]
    (dropped,) = (line["lines"] for line in lines if line["action"] == "log_lines_dropped")
    assert dropped > 20
    assert len(lines) - 1 + dropped == 40


@pytest.mark.parametrize(
    "error", [BrokenPipeError(), OSError(28, "No space left"), ValueError("closed file")]
)
def test_lost_output_is_survived(log: Logger, sink: Sink, error: Exception) -> None:
    """A reader that went away, a full disk or a closed file drops lines, nothing else."""
    sink.error = error
    log.info("delivery")
    sink.error = None
    log.info("batch")
    assert [line["action"] for line in sink.lines] == ["batch"]


async def test_lines_of_threads_are_kept(log: Logger, sink: Sink, output: Output) -> None:
    """Database threads log too: every line arrives, whole."""

    def write(thread: int) -> None:
        for number in range(500):
            log.info("batch", thread=thread, number=number)

    await asyncio.gather(*(asyncio.to_thread(write, thread) for thread in range(4)))
    output.close()
    assert len({(line["thread"], line["number"]) for line in sink.lines}) == 2000


@pytest.fixture
def library(log: Logger) -> Iterator[logging.Logger]:
    """The logger of some library, whose lines come to ours."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    adopt_libraries(log, level="info")
    yield logging.getLogger("some.library")
    root.handlers[:] = handlers
    root.setLevel(level)


def test_libraries_log_through_ours(library: logging.Logger, sink: Sink) -> None:
    """A library's warning becomes a line of ours; its chatter does not."""
    library.info("chatter")
    library.warning("broker %s is away", "b1")
    (line,) = sink.lines
    assert (line["action"], line["logger"], line["message"]) == (
        "library",
        "some.library",
        "broker b1 is away",
    )


def test_library_with_a_broken_format(log: Logger, sink: Sink) -> None:
    """A library's own mistake in a log call does not raise into its code; the line shows what it said."""
    broken = logging.LogRecord("some.library", logging.ERROR, __file__, 1, "%d", ("no number",), None)
    LibraryHandler(log).handle(broken)
    assert "no number" in sink.lines[0]["message"]


def test_repeated_lines_of_libraries(log: Logger, sink: Sink) -> None:
    """A line that repeats itself is written once in a while, with how often it came meanwhile."""
    handler = LibraryHandler(log)
    for second in (0.0, 0.1, 0.2, 10.1, 10.2):
        record = logging.LogRecord("aiokafka", logging.ERROR, __file__, 1, "node %s is away", ("1",), None)
        record.created = second
        handler.handle(record)
    assert [line.get("repeated") for line in sink.lines] == [None, 2]


def test_remembered_lines_are_bounded(log: Logger, sink: Sink) -> None:
    """Lines that all differ are all written, and do not fill the memory."""
    handler = LibraryHandler(log)
    for number in range(1000):
        handler.handle(logging.LogRecord("a.library", logging.ERROR, __file__, 1, "line %d", (number,), None))
    assert len(sink.lines) == 1000
    assert len(handler._written) <= 256
