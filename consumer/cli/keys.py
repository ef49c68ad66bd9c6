"""``binmirror keys create``, ``list``, ``revoke``."""

from collections.abc import Sequence
from typing import Annotated

import typer

from consumer.bootstrap.names import who
from consumer.bootstrap.operators import key_admin
from consumer.cli.common import (
    DONE,
    FOUND,
    WRONG_USAGE,
    ConfigOption,
    JsonOption,
    confirmed,
    leave,
    notice,
    one_line,
    print_json,
    print_table,
    run_with,
    settings_of,
)
from consumer.cli.event_filters import ProjectOption, checked_text
from consumer.errors import SettingsError
from consumer.ops.keys import KeyAdmin, as_dict
from consumer.projection.keys_base import ApiKey
from consumer.settings import Settings
from consumer.types import ALL_PERMISSIONS, READ_PERMISSIONS, Permission
from schemas.times import format_time

keys = typer.Typer(no_args_is_help=True, help="Keys of the API: create, list, revoke.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(keys, name="keys")


@keys.command("create")
def create_command(
    context: typer.Context,
    name: Annotated[str, typer.Option("--name", help="Who uses it, for people.")],
    project: Annotated[
        str | None, typer.Option("--project", help="Whose bin it opens; may be left out if there is but one.")
    ] = None,
    permission: Annotated[
        list[str] | None,
        typer.Option(
            "--permission",
            metavar="TYPE.read|TYPE.delete",
            help="TYPE: vouchers, campaigns, products. May be repeated. The three that read when left out.",
        ),
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Create a key, which works at once in all processes. Its token is shown now and never again.

    For a checkout that looks codes up: `binmirror keys create --name checkout`

    One that may also delete vouchers for good: add `--permission vouchers.delete` to the three that read.

    Exit codes: 0 done · 1 there is no projection yet · 2 wrong usage · 3 the projection is away.
    """
    name = checked_text("--name", name) or ""
    if not name.strip():
        raise typer.BadParameter("--name is empty: say who uses the key")
    settings = settings_of(context, config)
    chosen = _project(settings, project)
    wanted = _permissions(permission or READ_PERMISSIONS)

    key, token = run_with(
        key_admin(settings),
        lambda admin: admin.create(project=chosen, name=name, permissions=wanted, who=who()),
    )
    if as_json:
        print_json({"app_token": token, **as_dict(key)})
        return
    typer.echo(f"X-App-Id: {key.app_id}")
    typer.echo(f"X-App-Token: {token}")
    notice(f"For {one_line(chosen)}: {', '.join(key.permissions)}. The token is not shown again.")


@keys.command("list")
def list_command(
    context: typer.Context,
    project: ProjectOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Revoked ones too.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List the keys that were created, and when each was last used. The settings' own are not among them.

    Those that nobody uses any more stand out: `binmirror keys list`

    Exit codes: 0 done · 1 there is no projection yet · 2 wrong usage · 3 the projection is away.
    """
    project = checked_text("--project", project)
    settings = settings_of(context, config)
    found = run_with(key_admin(settings), lambda admin: admin.keys(project, revoked=everything))
    if as_json:
        print_json([as_dict(key) for key in found])
    else:
        columns = ["app id", "project", "name", "permissions", "created", "by", "last used", "revoked"]
        print_table(columns, [_row(key) for key in found])


@keys.command("revoke")
def revoke_command(
    context: typer.Context,
    app_id: Annotated[str, typer.Argument(metavar="APP_ID", help="As `keys list` shows it.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """End a key and its access tokens, for good: in all processes within two seconds.

    `binmirror keys revoke key_0a1b2c3d4e5f6071`

    Exit codes: 0 done · 1 there is no such key, or it was revoked before · 2 wrong usage, or not confirmed ·
    3 the projection is away.
    """
    settings = settings_of(context, config)
    key = run_with(key_admin(settings), lambda admin: admin.key(app_id))
    if key is None:
        notice(f"binmirror: there is no key {one_line(app_id)}; the settings' own keys are changed there")
        leave(FOUND)
    if key.revoked_at is None and not yes and not _confirmed(key):
        leave(WRONG_USAGE)

    async def work(admin: KeyAdmin) -> tuple[bool, ApiKey | None]:
        return await admin.revoke(key, who=who()), await admin.key(app_id)

    changed, now = run_with(key_admin(settings), work)
    if as_json:
        print_json({"changed": changed, **as_dict(now or key)})
    elif changed:
        typer.echo(f"{key.app_id} is revoked; every process refuses it within two seconds.")
    if not changed:
        notice(f"binmirror: {key.app_id} was revoked before")
    leave(DONE if changed else FOUND)


def _project(settings: Settings, wanted: str | None) -> str:
    known = list(settings.resolved_projects())
    if wanted is None and len(known) == 1:
        return known[0]
    if wanted is None:
        raise SettingsError(f"--project is missing; configured: {', '.join(known)}")
    if wanted not in known:
        raise SettingsError(f"--project {wanted}: there is no such project; configured: {', '.join(known)}")
    return wanted


def _permissions(names: Sequence[str]) -> list[Permission]:
    """Raises BadParameter for one that there is not."""
    for name in names:
        if name not in ALL_PERMISSIONS:
            known = ", ".join(sorted(ALL_PERMISSIONS))
            raise typer.BadParameter(f"--permission {one_line(name)}: there are {known}")
    return sorted(permission for permission in ALL_PERMISSIONS if permission in names)


def _confirmed(key: ApiKey) -> bool:
    used = "never used" if key.last_used_at is None else f"last used at {format_time(key.last_used_at)}"
    question = f"This ends the key {one_line(key.name)!r} of {one_line(key.project)}, {used}, for good."
    return confirmed(question, otherwise="Say --yes.")


def _row(key: ApiKey) -> list[object]:
    times = [at and format_time(at) for at in (key.created_at, key.last_used_at, key.revoked_at)]
    shown = ", ".join(key.permissions)
    return [key.app_id, key.project, key.name, shown, times[0], key.created_by, times[1], times[2]]
