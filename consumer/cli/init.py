"""``binmirror init``."""

import json
import os
import secrets
import sys
from pathlib import Path
from typing import Annotated, Final
from uuid import uuid4

import typer

from consumer.addresses import parse_public_url
from consumer.cli.common import FOUND, leave, notice
from consumer.setting_types import check_secret
from consumer.types import DEFAULT_PROJECT
from consumer.web.targets import webhook_urls

_TEMPLATE: Final = """\
# Settings of binmirror; docs/settings.md explains each. Variables of the environment win over this file.
# Keep it secret: it holds the keys to your deliveries and to your bin.

# The secret that Voucherify shows in Project settings, Webhooks. While it is being rotated, a JSON list:
# BINMIRROR_WEBHOOK_SECRETS=["new secret", "old secret"]
{secret_line}

# What clients of the bin API present as X-App-Id and X-App-Token.
BINMIRROR_API_APP_ID={app_id}
BINMIRROR_API_APP_TOKEN={token}

# Where the service listens; keep 127.0.0.1 behind a reverse proxy.
# BINMIRROR_HOST=127.0.0.1
# BINMIRROR_PORT=8080

# The address under which Voucherify reaches this service.
{public_url_line}

# Deliveries of any other Voucherify project become failed events.
# BINMIRROR_VOUCHERIFY_PROJECT_ID=proj_PC2jOMWZ

# The default is SQLite on this machine, in the folder data. Elsewhere:
# BINMIRROR_EVENT_LOG=kafka://kafka-1:9092,kafka-2:9092/binmirror
# BINMIRROR_PROJECTION=postgresql://binmirror:PASSWORD@db:5432/binmirror
"""
_NEXT: Final = """\
Wrote {path}. Next:
  1. {first}
  2. In Voucherify, Project settings, Webhooks: add {webhook_url} as the URL,
     and choose the events voucher.deleted and campaign.deleted at least.
  3. Start the service:         binmirror serve
  4. Send it a first delivery:  binmirror send
  5. Look at what arrived:      binmirror status, binmirror events list"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("init")(init_command)


def init_command(
    secret: Annotated[
        str | None,
        typer.Option(help="The webhook secret of your Voucherify project; asked for when left out."),
    ] = None,
    public_url: Annotated[
        str | None,
        typer.Option(help="The address under which Voucherify reaches it: https://hooks.example.com"),
    ] = None,
    path: Annotated[Path, typer.Option("--file", help="The file to write.")] = Path(".env"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file when it exists.")] = False,
) -> None:
    """Write a commented .env with a fresh API id and token, and the webhook secret.

    Asks for the secret: `binmirror init`

    In a script: `binmirror init --secret "$SECRET" --public-url https://hooks.example.com --file /etc/bm.env`
    """
    if path.is_dir():
        raise typer.BadParameter(f"{path} cannot be written: it is a folder")
    if path.exists() and not force:
        notice(f"binmirror: {path} exists already; --force overwrites it, --file writes elsewhere")
        leave(FOUND)
    address = _parsed_public_url(public_url)
    secret = _checked_secret(secret)
    text = _TEMPLATE.format(
        secret_line=f"BINMIRROR_WEBHOOK_SECRETS={_quoted(secret)}"
        if secret
        else "# BINMIRROR_WEBHOOK_SECRETS=",
        public_url_line=f"BINMIRROR_PUBLIC_URL={_quoted(address)}"
        if address
        else "# BINMIRROR_PUBLIC_URL=https://hooks.example.com",
        app_id=uuid4(),
        token=secrets.token_urlsafe(32),
    )
    _write(path, text)
    first = "The webhook secret is in it." if secret else "Set BINMIRROR_WEBHOOK_SECRETS in it."
    (webhook_url,) = webhook_urls(address or "https://YOUR-HOST", [DEFAULT_PROJECT]).values()
    notice(_NEXT.format(path=path, first=first, webhook_url=webhook_url))


def _checked_secret(secret: str | None) -> str | None:
    """As given, or as typed where somebody can be asked."""
    if secret is None and sys.stdin.isatty():
        secret = typer.prompt(
            "Webhook secret (Voucherify: Project settings, Webhooks; Enter to add it later)",
            default="",
            show_default=False,
            hide_input=True,
        )
    if secret:
        try:
            check_secret(secret)
        except ValueError as error:
            raise typer.BadParameter(f"the secret {error}") from None
    return secret


def _parsed_public_url(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return parse_public_url(text)
    except ValueError as error:
        raise typer.BadParameter(f"--public-url {error}") from None


def _quoted(secret: str) -> str:
    """As a .env file reads it back unchanged; one that looks like a JSON list stands in such a list."""
    if secret.startswith("["):
        secret = json.dumps([secret], ensure_ascii=False)
    if all(character.isalnum() or character in "-_./+=" for character in secret):
        return secret
    return "'" + secret.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _write(path: Path, text: str) -> None:
    """Readable for its owner alone from its first byte on; never half written."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(path)
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be written: {error.strerror}") from None
