"""``python -m consumer`` is ``binmirror``; the installed command begins here too."""

import gc
import importlib
import os
import signal
from typing import Final

_INTERRUPTED: Final = 130


def main() -> None:
    """Run the command line; ends the process.

    Ctrl-C ends it at once while everything is imported, and again when all is done: nothing is held then.
    """
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:
        signal.signal(signal.SIGINT, _leave)
    # What imports make stays as long as the process: looking for garbage in it takes a third of their time.
    gc.disable()
    app = importlib.import_module("consumer.cli.app")
    gc.freeze()
    gc.enable()
    if interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        app.main()
    finally:
        if interruptible:
            signal.signal(signal.SIGINT, _leave)


def _leave(*_: object) -> None:
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
