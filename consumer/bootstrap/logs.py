"""Where the lines of the log go, and in which form."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import structlog

from consumer.log import Form, Level, Logger, Output, create_log, form_of
from consumer.log_libraries import adopt_libraries


@contextmanager
def logging_to_stderr(
    *, level: Level, form: Literal["auto", "json", "console"]
) -> Iterator[tuple[Logger, Callable[[], None]]]:
    """The process's logger, and what writes its waiting lines at once.

    It writes to standard error, JSON unless that is a terminal; standard output is for results.
    """
    terminal = sys.stderr.isatty()
    console = form == "console" or (form == "auto" and terminal)
    output = Output(sys.stderr.buffer)
    colors = console and terminal
    log = create_log(output, level=level, console=console, colors=colors)
    with _everything_to(output, form_of(level=level, console=console, colors=colors)):
        adopt_libraries(log, level=level)
        try:
            yield log, output.flush
        finally:
            output.close()


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """For commands, which say themselves, in one line, what went wrong."""
    output = Output(sys.stderr.buffer)
    with _everything_to(output, form_of(level="critical", console=True)):
        logging.getLogger().handlers[:] = [logging.NullHandler()]
        yield
        output.close()


@contextmanager
def _everything_to(output: Output, form: Form) -> Iterator[None]:
    """Let modules that are given no logger write like the others; put back what was before."""
    root = logging.getLogger()
    handlers, level, configured = root.handlers[:], root.level, structlog.get_config()
    structlog.configure(logger_factory=lambda *_: output, cache_logger_on_first_use=False, **form)
    try:
        yield
    finally:
        structlog.configure(**configured)
        root.handlers[:] = handlers
        root.setLevel(level)
