"""``binmirror migrate``, ``topics create``, ``version``."""

import platform

import typer

from consumer.bootstrap.admin import create_topics, migrate_projection
from consumer.bootstrap.run import run_async
from consumer.bootstrap.versions import versions
from consumer.cli.common import ConfigOption, JsonOption, notice, print_json, settings_of

topics = typer.Typer(no_args_is_help=True, help="The topics in Kafka.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("migrate")(migrate_command)
    app.command("version")(version_command)
    app.add_typer(topics, name="topics")


def migrate_command(context: typer.Context, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Bring the projection's database to this version's schema. Does nothing when it is there already.

    Before a new version's workers start: `binmirror migrate`

    Also makes or drops the index that SUBSTRING_INDEX is about.

    SQLite needs no such step: the worker does both by itself.
    """
    done = migrate_projection(settings_of(context, config), _tell)
    (before, after), (indexed_before, indexed) = done
    if as_json:
        index = {"before": indexed_before, "after": indexed}
        print_json({"before": before, "after": after, "substring_index": index})
        return
    if before == after:
        typer.echo(f"The schema is at {after} already.")
    else:
        typer.echo(f"Migrated from {before or 'an empty database'} to {after}.")
    if indexed_before != indexed:
        typer.echo(f"Parts are indexed of: {', '.join(indexed) or 'nothing'}.")


def _tell(key: str, done: int, of: int) -> None:
    notice(f"Index of parts of {key}: {done:,} of some {of:,} entries")


@topics.command("create")
def create_command(context: typer.Context, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Create the topics of EVENT_LOG and ENTRIES_TOPIC as the settings say, or compare those that are there.

    Three replicas, two of them in sync; the log is kept for ever: `binmirror topics create`

    On a single broker, for a trial: `BINMIRROR_KAFKA_ALLOW_SINGLE_REPLICA=true binmirror topics create`
    """
    results = run_async(create_topics(settings_of(context, config)))
    if as_json:
        print_json(results)
        return
    for result in results:
        typer.echo(" · ".join(f"{name} {value}" for name, value in result.items()))


def version_command(as_json: JsonOption = False) -> None:
    """Show the versions of binmirror and of what it runs on.

    For a report: `binmirror version --json`
    """
    found = {**versions(), "python": platform.python_version(), "platform": platform.platform()}
    if as_json:
        print_json(found)
    else:
        for name, value in found.items():
            typer.echo(f"{name} {value}")
