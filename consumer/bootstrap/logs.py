"""Where the lines of the log go, and in which form."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from consumer.log import Level, Logger, Output, adopt_libraries, create_log


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
    log = create_log(output, level=level, console=console, colors=console and terminal)
    adopt_libraries(log, level=level)
    try:
        yield log, output.flush
    finally:
        output.close()
