"""Whether the topics keep what they are given: looked at when the process starts."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from consumer.addresses import KafkaAddress
from consumer.bootstrap.entries_topic import look_at_entries_topic
from consumer.bootstrap.parts import kafka_connection, topic_config
from consumer.errors import LogUnavailableError, SettingsError
from consumer.eventlog.kafka.admin import KafkaLogAdmin
from consumer.log import Logger
from consumer.settings import Settings
from consumer.types import Role
from consumer.waiting import stopped_within

_RETRY_SECONDS: Final = 10.0


async def look(settings: Settings, address: KafkaAddress) -> None:
    """Make the topic if the settings say so, and check it.

    Raises:
        SettingsError: the topic is missing, or would lose records or refuse large ones.
        LogUnavailableError: the cluster does not answer.
        StopError: the cluster does not make the topic.

    """
    admin = KafkaLogAdmin(kafka_connection(settings, address))
    try:
        if settings.kafka_create_topic:
            await admin.create_topic(**topic_config(settings))
        problems = await admin.check_topic(
            max_body_bytes=settings.max_body_bytes,
            allow_single_replica=settings.kafka_allow_single_replica,
        )
    finally:
        await admin.close()
    if problems:
        raise SettingsError(f"EVENT_LOG: {'; '.join(problems)}")


def _looks(settings: Settings, roles: Sequence[Role]) -> Sequence[Callable[[], Awaitable[None]]]:
    """One for each topic that these roles need."""
    looks: list[Callable[[], Awaitable[None]]] = []
    if isinstance(settings.event_log, KafkaAddress):
        looks.append(partial(look, settings, settings.event_log))
    if settings.entries_topic is not None and "worker" in roles:
        looks.append(partial(look_at_entries_topic, settings, settings.entries_topic))
    return looks


async def look_at_start(settings: Settings, roles: Sequence[Role], log: Logger) -> bool:
    """Look, but not for long: deliveries come in meanwhile. False: a cluster did not answer.

    Raises SettingsError, StopError.
    """
    try:
        async with asyncio.timeout(settings.publish_deadline):
            for look_at in _looks(settings, roles):
                await look_at()
    except (LogUnavailableError, TimeoutError) as error:
        log.warning("log_unavailable", reason=str(error) or "no answer in time")
        return False
    return True


async def look_later(settings: Settings, roles: Sequence[Role], log: Logger, stop: asyncio.Event) -> None:
    """A cluster was away at the start: look once it answers. What is wrong then is only said.

    Ending a receiver that has taken deliveries into its spool would lose the next ones.
    """
    waiting = list(_looks(settings, roles))
    while waiting and not await stopped_within(stop, _RETRY_SECONDS):
        for look_at in tuple(waiting):
            try:
                await look_at()
            except LogUnavailableError:
                continue
            except SettingsError as error:
                log.error("topic_unfit", reason=str(error))  # noqa: TRY400 - the reason says it all
            waiting.remove(look_at)
