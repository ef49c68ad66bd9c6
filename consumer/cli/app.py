"""The command ``binmirror``: finds the command asked for and turns errors into one line and an exit code."""

import signal
import sys

import typer

from consumer.bootstrap.logs import quiet_libraries
from consumer.cli import admin, demo, events, init, keys, reconcile, send, serve, spool, status, worker
from consumer.cli.common import AWAY, FOUND, INTERRUPTED, WRONG_USAGE, ConfigOption, notice
from consumer.errors import BinmirrorError, NotDurableError, SettingsError, TransientError

app = typer.Typer(
    name="binmirror",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def root(context: typer.Context, config: ConfigOption = None) -> None:
    """Receives Voucherify's deletion webhooks and keeps a local, queryable mirror of its bin.

    Try `binmirror demo` first; then `binmirror init` and `binmirror serve`.

    Exit codes: 0 done · 1 found something, or done in part · 2 wrong usage or setting · 3 a server is away.
    """
    context.obj = config


serve.register(app)
send.register(app)
status.register(app)
reconcile.register(app)
events.register(app)
worker.register(app)
spool.register(app)
keys.register(app)
init.register(app)
admin.register(app)
demo.register(app)


def main() -> None:
    """Run the command line; ends the process."""
    # Being told to end is what Ctrl-C is: whatever a command holds is let go. ``serve`` has its own handlers.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        with quiet_libraries():
            app(prog_name="binmirror")
    except SettingsError as error:
        notice(f"binmirror: {error}")
        sys.exit(WRONG_USAGE)
    except (TransientError, NotDurableError) as error:
        notice(f"binmirror: {error}")
        sys.exit(AWAY)
    except BinmirrorError as error:
        notice(f"binmirror: {error}")
        sys.exit(FOUND)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
