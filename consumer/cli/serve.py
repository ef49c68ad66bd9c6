"""``binmirror serve``."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final

import typer

from consumer.bootstrap.run import serve
from consumer.cli.common import ConfigOption, leave, settings_of
from consumer.types import Role


class RoleName(StrEnum):
    """What a process can do. Typer takes no lists of literals, such as ``Role``."""

    receiver = "receiver"
    worker = "worker"
    api = "api"


ROLES: Final[Mapping[RoleName, Role]] = {
    RoleName.receiver: "receiver",
    RoleName.worker: "worker",
    RoleName.api: "api",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve")(serve_command)


def serve_command(
    context: typer.Context,
    role: Annotated[
        list[RoleName] | None,
        typer.Option("--role", help="What this process does; may be repeated. All three when left out."),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on, instead of HOST.")] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Port to listen on, instead of PORT; 0: any free one."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Run the service: receive webhooks, mirror them into the bin, answer queries.

    Everything on this machine: `binmirror serve`

    A receiver of its own: `binmirror serve --role receiver --host 0.0.0.0`

    SIGTERM or Ctrl-C ends it cleanly: deliveries in flight are finished first. A second one ends it at once.
    """
    settings = settings_of(context, config)
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    leave(serve(settings.model_copy(update=given), [ROLES[name] for name in role or ROLES]))
