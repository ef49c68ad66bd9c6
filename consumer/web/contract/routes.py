"""``/openapi.json``, ``/asyncapi.json``, ``/schemas`` and ``/docs``: the contracts, for tools and for people.

They hold no secrets and ask for no credentials. Each is made once, when somebody first asks for it.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from importlib.resources import files
from typing import Any, Final

from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from consumer.web.contract.asyncapi import asyncapi_document
from consumer.web.contract.describe import (
    INTERNAL,
    Answer,
    Content,
    DescribedRoute,
    ErrorAnswer,
    Operation,
    Parameter,
)
from consumer.web.contract.openapi import Documented, openapi_document
from consumer.web.contract.page import render_page
from consumer.web.contract.published import PUBLISHED, Published
from schemas.answers import PublishedSchemas
from schemas.errors import not_found

_CSP: Final = (
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE_HEADERS: Final = {"Content-Security-Policy": _CSP, "Referrer-Policy": "no-referrer"}
_HTML: Final = "text/html; charset=utf-8"
_SCHEMA_JSON: Final = "application/schema+json"


class Contracts:
    """The endpoints."""

    def __init__(self, operations: Iterable[Documented], version: str, public_url: str | None) -> None:
        self._operations = operations
        self._version = version
        self._public_url = public_url
        self._schemas = {each.file: each for each in PUBLISHED}

    async def openapi(self, request: Request) -> Response:
        return _answer(request, to_json(self._openapi), "application/json")

    async def asyncapi(self, request: Request) -> Response:
        return _answer(request, self._asyncapi, "application/json")

    async def index(self, request: Request) -> Response:
        return _answer(request, self._index, "application/json")

    async def schema(self, request: Request) -> Response:
        found = self._schemas.get(request.path_params["file"])
        if found is None:
            raise HTTPException(404)
        return _answer(request, to_json(found.schema()), _SCHEMA_JSON)

    async def page(self, request: Request) -> Response:
        return _answer(request, self._page, _HTML, _PAGE_HEADERS)

    async def style(self, request: Request) -> Response:
        return _answer(request, self._style, "text/css; charset=utf-8")

    @cached_property
    def _openapi(self) -> Mapping[str, Any]:
        return openapi_document(self._operations, version=self._version, public_url=self._public_url)

    @cached_property
    def _asyncapi(self) -> bytes:
        return to_json(asyncapi_document(version=self._version))

    @cached_property
    def _index(self) -> bytes:
        return to_json({"schemas": [_listed(each) for each in PUBLISHED]})

    @cached_property
    def _page(self) -> bytes:
        return render_page(self._openapi).encode()

    @cached_property
    def _style(self) -> bytes:
        return (files("consumer.web.contract") / "templates" / "docs.css").read_bytes()


def _listed(schema: Published) -> Mapping[str, object]:
    return {
        "name": schema.name,
        "version": schema.version,
        "id": schema.id,
        "href": f"/schemas/{schema.file}",
    }


def _answer(
    request: Request, body: bytes, media_type: str, headers: Mapping[str, str] | None = None
) -> Response:
    """``body``, or 304 for who has it already."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    known = request.headers.get("if-none-match", "")
    both = {"ETag": tag, "Cache-Control": "no-cache", **(headers or {})}
    if tag in known:
        return Response(status_code=304, headers=both)
    return Response(body, headers=both, media_type=media_type)


def contract_routes(
    routes: Sequence[Route], outside: Iterable[Documented], *, version: str, public_url: str | None
) -> list[Route]:
    """The routes that describe ``routes``, what is ``outside`` of them, and themselves."""
    operations: list[Documented] = []
    contracts = Contracts(operations, version, public_url)
    ours: list[Route] = [
        DescribedRoute("GET", "/openapi.json", contracts.openapi, _OPENAPI),
        DescribedRoute("GET", "/asyncapi.json", contracts.asyncapi, _ASYNCAPI),
        DescribedRoute("GET", "/schemas", contracts.index, _INDEX),
        DescribedRoute("GET", "/schemas/{file}", contracts.schema, _SCHEMA),
        DescribedRoute("GET", "/docs", contracts.page, _PAGE),
        DescribedRoute("GET", "/docs/style.css", contracts.style, _STYLE),
    ]
    operations += outside
    operations += [
        (route.method, route.path, route.operation)
        for route in (*routes, *ours)
        if isinstance(route, DescribedRoute)
    ]
    return ours


def _document(name: str, summary: str, *content: Content, text: str = "") -> Operation:
    headers = {"ETag": "For `If-None-Match`."}
    return Operation(
        name=name,
        tag="contracts",
        summary=summary,
        text=text,
        answers={200: Answer(text="The document.", content=content, headers=headers)},
        errors=(INTERNAL,),
        access="none",
    )


_ANY_OBJECT: Final = {"type": "object"}
_OPENAPI: Final = _document("get_openapi", "This document, as OpenAPI 3.1", Content(schema=_ANY_OBJECT))
_ASYNCAPI: Final = _document("get_asyncapi", "The topics, as AsyncAPI 3.0", Content(schema=_ANY_OBJECT))
_INDEX: Final = _document(
    "list_schemas",
    "Which JSON Schemas there are",
    Content(shape=PublishedSchemas, example={"schemas": [_listed(PUBLISHED[0])]}),
)
_SCHEMA: Final = Operation(
    name="get_schema",
    tag="contracts",
    summary="One JSON Schema",
    text="Draft 2020-12. Its address is stable: a version's fields stay, and fields may be added.",
    parameters=(
        Parameter(
            name="file",
            place="path",
            text="As the index names it.",
            schema={"enum": [each.file for each in PUBLISHED]},
            example=PUBLISHED[0].file,
        ),
    ),
    answers={
        200: Answer(
            text="The schema.",
            content=[Content(schema=_ANY_OBJECT, media_type=_SCHEMA_JSON)],
            headers={"ETag": "For `If-None-Match`."},
        )
    },
    errors=(ErrorAnswer(body=not_found("There is nothing at this path.")), INTERNAL),
    access="none",
)
_PAGE: Final = _document(
    "get_docs",
    "This document, as a page",
    Content(schema={"type": "string"}, media_type="text/html"),
    text="Loads nothing from elsewhere.",
)
_STYLE: Final = _document(
    "get_docs_style", "How that page looks", Content(schema={"type": "string"}, media_type="text/css")
)
