"""``binmirror send``."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from consumer.bootstrap.run import run_async
from consumer.cli.common import (
    AWAY,
    DONE,
    FOUND,
    INTERRUPTED,
    ConfigOption,
    JsonOption,
    console,
    json_line,
    leave,
    plain,
    settings_of,
)
from consumer.cli.sending import Answer, Sender, Summary
from consumer.clock import SystemClock
from consumer.errors import SettingsError
from consumer.settings import Settings
from consumer.types import DEFAULT_PROJECT
from consumer.web.targets import PREFIX
from schemas.samples import campaign_deleted, voucher_deleted

SAMPLES: Final[Mapping[str, Callable[..., bytes]]] = {
    "voucher.deleted": voucher_deleted,
    "campaign.deleted": campaign_deleted,
}
_REACHED_AT: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - an address to read, not to bind
"""Where a service that listens everywhere is reached from its own machine."""
_SHOWN_ANSWERS: Final = 20
"""Up to so many answers are shown one by one; of a longer run only those that are not 2XX."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("send")(send_command)


def send_command(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="[FILE|voucher.deleted|campaign.deleted|-]",
            help="A body to send as it is, '-' for standard input, or a built-in sample with fresh ids.",
        ),
    ] = "voucher.deleted",
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many deliveries to send.")] = 1,
    rate: Annotated[float | None, typer.Option(min=0.001, help="At most so many a second.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=1000, help="So many at once.")] = 8,
    to: Annotated[
        str | None, typer.Option(help="Address of the receiver; by default HOST and PORT of the settings.")
    ] = None,
    secret: Annotated[str | None, typer.Option(help="Sign with this; by default WEBHOOK_SECRETS.")] = None,
    project: Annotated[str | None, typer.Option(help="Send to this project's path.")] = None,
    event_name: Annotated[
        str | None, typer.Option(help="Put the event's name into the path, for bodies without an envelope.")
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Sign a delivery as Voucherify does, post it, and show the answer.

    A deleted voucher with fresh ids: `binmirror send`

    A hundred deleted campaigns, twenty a second: `binmirror send campaign.deleted --count 100 --rate 20`

    A body of your own: `binmirror send delivery.json --to https://hooks.example.com --secret SECRET`

    Exit codes: 0 all were answered 2XX · 1 some were not · 2 wrong usage · 3 nobody answered.
    """
    leave(
        deliver(
            settings_of(context, config),
            what,
            count=count,
            rate=rate,
            concurrency=concurrency,
            to=to,
            secret=secret,
            project=project,
            event_name=event_name,
            json_lines=as_json,
        )
    )


def deliver(
    settings: Settings,
    what: str,
    *,
    count: int = 1,
    rate: float | None = None,
    concurrency: int = 8,
    to: str | None = None,
    secret: str | None = None,
    project: str | None = None,
    event_name: str | None = None,
    json_lines: bool = False,
) -> int:
    """Send and show; the exit code."""
    bodies = _bodies(what, _voucherify_project(settings, project))
    url = _url(settings, to, project=project, event_name=event_name)
    key = secret.encode() if secret is not None else _secret_of(settings, project)
    show = Show(count=count, json_lines=json_lines)
    sender = Sender(url, key, on_answer=show.answer)
    interrupted = False
    with show.progress:
        try:
            run_async(sender.send(bodies, count=count, rate=rate, concurrency=concurrency))
        except KeyboardInterrupt:
            interrupted = True
    summary = sender.summary
    show.summary(summary, url)
    if interrupted:
        return INTERRUPTED
    if summary.accepted == summary.sent:
        return DONE
    return FOUND if summary.answered else AWAY


def _bodies(what: str, project_id: str) -> Callable[[int], bytes]:
    sample = SAMPLES.get(what)
    if sample is not None:
        clock = SystemClock()
        return lambda _: sample(project_id=project_id, occurred_at=clock.now())
    try:
        body = sys.stdin.buffer.read() if what == "-" else Path(what).read_bytes()
    except OSError as error:
        names = ", ".join(SAMPLES)
        raise typer.BadParameter(
            f"{what} is neither a file ({error.strerror}) nor a sample ({names})"
        ) from None
    return lambda _: body


def _url(settings: Settings, to: str | None, *, project: str | None, event_name: str | None) -> str:
    host = _REACHED_AT.get(settings.host, settings.host)
    base = to or f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
    try:
        url = httpx.URL(base)
    except httpx.InvalidURL as error:
        raise typer.BadParameter(f"--to {base}: {error}") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise typer.BadParameter(f"--to {base} is no http:// or https:// address")
    path = url.path.rstrip("/") or PREFIX
    for segment in (project, event_name):
        path += f"/{segment}" if segment else ""
    return str(url.copy_with(path=path))


def _voucherify_project(settings: Settings, name: str | None) -> str:
    """The project that a sample says it comes from: the one that is expected, so that it is accepted."""
    for project in settings.resolved_projects().values():
        if project.voucherify_project_id is not None and name in {None, project.name}:
            return project.voucherify_project_id
    return "proj_sample"


def _secret_of(settings: Settings, project: str | None) -> bytes:
    projects = settings.resolved_projects()
    name = project or (next(iter(projects)) if len(projects) == 1 else DEFAULT_PROJECT)
    if name not in projects:
        raise SettingsError(
            f"projects: there is none named {name!r}; say --project with one of {list(projects)}"
        )
    if not projects[name].webhook_secrets:
        raise SettingsError(
            "WEBHOOK_SECRETS: is missing; set it or say --secret, for example --secret SECRET"
        )
    return projects[name].webhook_secrets[0]


class Show:
    """Shows answers as they come, and what they amount to."""

    def __init__(self, *, count: int, json_lines: bool) -> None:
        self._json_lines = json_lines
        self._each = count <= _SHOWN_ANSWERS
        self._console = console()
        columns = (TextColumn("sent"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.progress = Progress(
            *columns, console=Console(stderr=True), disable=self._each or json_lines, transient=True
        )
        self._task = self.progress.add_task("sent", total=count)

    def answer(self, answer: Answer) -> None:
        self.progress.advance(self._task)
        if self._json_lines:
            sys.stdout.write(json_line(answer.as_dict()) + "\n")
            sys.stdout.flush()
        elif self._each or not answer.accepted:
            status = "no answer" if answer.status is None else str(answer.status)
            color = "green" if answer.accepted else "red"
            self._console.print(
                f"[{color}]{status}[/]  {answer.seconds * 1000:7.1f} ms  {plain(answer.text.strip())}"
            )

    def summary(self, summary: Summary, url: str) -> None:
        facts = summary.as_dict()
        if self._json_lines:
            sys.stdout.write(json_line({"to": url, **facts}) + "\n")
        elif summary.sent > 1:
            self._console.print(
                f"{facts['accepted']} of {facts['sent']} accepted by {plain(url)} · "
                f"{facts['per_second']}/s · p50 {facts['p50_milliseconds']} ms · "
                f"p99 {facts['p99_milliseconds']} ms · {plain(facts['answers'])}"
            )
