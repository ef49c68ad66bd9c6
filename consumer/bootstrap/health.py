"""How receiver and API are doing; the worker says so itself."""

from collections.abc import Callable, Mapping

from consumer.errors import LogUnavailableError, NotDurableError, ProjectionUnavailableError, StopError
from consumer.eventlog.base import Producer
from consumer.projection.base import ProjectionReader
from consumer.types import Health, HealthCheck


async def producer_health(producer: Producer) -> Health:
    """A receiver is ready while the log or the spool can be written."""
    try:
        await producer.ping()
    except (LogUnavailableError, NotDurableError) as error:
        return Health(ready=False, summary=f"deliveries cannot be stored: {error}", details={})
    return Health(ready=True, summary="deliveries can be stored", details={})


async def reader_health(reader: ProjectionReader) -> Health:
    """An API is ready while the projection can be read."""
    try:
        await reader.ping()
    except (ProjectionUnavailableError, StopError) as error:
        return Health(ready=False, summary=f"the projection cannot be read: {error}", details={})
    return Health(ready=True, summary="the projection can be read", details={})


async def health_with(check: HealthCheck, name: str, more: Callable[[], Mapping[str, object]]) -> Health:
    """As ``check`` says, with details that do not decide whether it is ready."""
    health = await check()
    return health._replace(details={**health.details, name: more()})
