"""The application with all roles, and what it says of itself."""

import io
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator
from starlette.routing import Route

from consumer.clock import SystemClock
from consumer.log import Output, create_log
from consumer.metrics import Metrics
from consumer.ops.purge import Purge
from consumer.projection.changes import SqlChanges
from consumer.projection.read_pool import ReadPool
from consumer.types import Health
from consumer.web.change_feed import ChangeFeed
from consumer.web.change_stream import StreamRules
from consumer.web.changes import Following
from consumer.web.issued_keys import IssuedKeys
from consumer.web.lean import LeanRoute
from tests.unit.keykit import NoKeys
from tests.unit.webkit import FailingLookups, FailingMirror, FailingReader, ListProducer, Web


async def well() -> Health:
    """A role without trouble."""
    return Health(ready=True, summary="well", details={"since": 1})


def whole() -> Web:
    """An application with every route that there can be."""
    producer, reader = ListProducer(), FailingReader(RuntimeError("not asked here"))
    purge = Purge("local", reader=reader, producer=producer, clients={}, clock=SystemClock())
    keys = IssuedKeys(NoKeys(), SystemClock())
    changes = SqlChanges(ReadPool("sqlite:///never-opened.db"))
    metrics = Metrics()
    log = create_log(Output(io.BytesIO()), level="error", console=False)
    rules = StreamRules(most=1, heartbeat=1.0, write_timeout=1.0)
    following = Following(changes, ChangeFeed(changes, log=log), rules, metrics)
    return Web(
        producer,
        reader,
        purge=purge,
        following=following,
        keys=keys,
        lookups=FailingLookups(RuntimeError("not asked here")),
        mirror=FailingMirror(RuntimeError("not asked here")),
        health={"receiver": well, "worker": well, "api": well},
    )


def routes_of(web: Web) -> list[Route]:
    """Those of the application, webhooks aside."""
    app: Any = web.app
    return list(app._frame._app.routes)


def lean_routes_of(web: Web) -> list[LeanRoute]:
    """Those without Starlette around them."""
    app: Any = web.app
    return [route for _, route in app._frame._lean]


async def document_of(web: Web, path: str = "/openapi.json") -> Any:
    """A document as it is served."""
    response = await web.get(path)
    assert response.status_code == 200
    return response.json()


def operations_of(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Method, path and description of each operation."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def check(value: object, schema: Mapping[str, Any], document: Mapping[str, Any]) -> None:
    """``value`` has the form of ``schema``, whose references lead into ``document``."""
    whole_schema = {**schema, "components": document["components"]}
    Draft202012Validator(whole_schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)
