"""The OpenAPI 3.1 document, made of the routes and what they say about themselves."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from consumer.web.contract.describe import Access, Answer, Content, ErrorAnswer, Operation, Parameter
from consumer.web.contract.jsonschemas import schemas_of
from consumer.web.contract.prose import INTRODUCTION, SECURITY_SCHEMES, TAGS
from schemas.errors import ErrorBody

_COMPONENT: Final = "#/components/schemas/{model}"
_CONVERTER: Final = re.compile(r"\{(\w+):\w+\}")
_REQUEST_ID: Final = "v-0c54493e444b0f61a6"
_SECURITY: Final[Mapping[Access, list[dict[str, list[str]]]]] = {
    "credentials": [{"AppId": [], "AppToken": []}, {"AccessToken": []}],
    "client": [{"Client": []}, {"AppId": [], "AppToken": []}],
    "signature": [{"Signature": []}],
    "none": [],
}

Documented = tuple[str, str, Operation]
"""Method, path, and what is there."""


def openapi_document(
    operations: Iterable[Documented], *, version: str, public_url: str | None = None
) -> dict[str, Any]:
    """The document of ``operations``, which are listed in this order.

    ``public_url`` is that of the webhooks alone: the rest is not for the outside.
    """
    listed = list(operations)
    shapes = _Shapes(operation for _, _, operation in listed)
    paths: dict[str, dict[str, Any]] = {}
    for method, path, operation in listed:
        template = _CONVERTER.sub(r"{\1}", path)
        described = _operation(operation, shapes)
        if public_url is not None and operation.access == "signature":
            described["servers"] = [{"url": public_url, "description": "Where Voucherify reaches it."}]
        paths.setdefault(template, {})[method.lower()] = described
    used = {operation.tag for _, _, operation in listed}
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "binmirror",
            "version": version,
            "summary": "A local, queryable mirror of Voucherify's bin.",
            "description": INTRODUCTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": [{"url": "/", "description": "This process."}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items() if name in used],
        "paths": paths,
        "components": {
            "schemas": shapes.components,
            "securitySchemes": SECURITY_SCHEMES,
            "headers": {
                "RequestId": {
                    "description": "Names the request; the same as in the log and in an error's body.",
                    "schema": {"type": "string", "pattern": "^v-[0-9a-f]{18}$"},
                }
            },
        },
    }


class _Shapes:
    """The schemas of all bodies: pydantic makes those of requests and of answers apart."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        asked: list[Any] = []
        answered: list[Any] = [ErrorBody]
        for operation in operations:
            asked += [body.shape for body in operation.body if body.shape is not None]
            for answer in operation.answers.values():
                answered += [each.shape for each in answer.content if each.shape is not None]
        inputs, defined = schemas_of(asked, "validation", _COMPONENT)
        outputs, more = schemas_of(answered, "serialization", _COMPONENT)
        clashing = [name for name in defined.keys() & more.keys() if defined[name] != more[name]]
        if clashing:
            raise ValueError(f"one name, two schemas: {', '.join(sorted(clashing))}")
        self.components: Mapping[str, Any] = dict(sorted({**defined, **more}.items()))
        self._known = [
            *zip(map(id, asked), inputs, strict=True),
            *zip(map(id, answered), outputs, strict=True),
        ]

    def of(self, content: Content) -> Mapping[str, Any]:
        """The schema of ``content``."""
        if content.shape is None:
            return content.schema
        return next(schema for shape, schema in self._known if shape == id(content.shape))


def _operation(operation: Operation, shapes: _Shapes) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.text,
        "parameters": [_parameter(each) for each in operation.parameters],
        "requestBody": {
            "required": True,
            "content": {each.media_type: _content(each, shapes) for each in operation.body},
        },
        "responses": _responses(operation, shapes),
        "security": _SECURITY[operation.access],
    }
    if not operation.body:
        del described["requestBody"]
    return {name: value for name, value in described.items() if value or name == "security"}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.text,
        "required": parameter.required or parameter.place == "path",
        "schema": parameter.schema,
    }
    if parameter.example is not None:
        described["example"] = parameter.example
    return described


def _content(content: Content, shapes: _Shapes) -> dict[str, Any]:
    described: dict[str, Any] = {"schema": shapes.of(content)}
    if content.example is not None:
        described["example"] = content.example
    return described


def _responses(operation: Operation, shapes: _Shapes) -> dict[str, Any]:
    found = {
        str(status): _answer(answer, shapes, framed=operation.access != "signature")
        for status, answer in operation.answers.items()
    }
    by_status: dict[int, list[ErrorAnswer]] = {}
    for error in operation.errors:
        by_status.setdefault(error.body.code, []).append(error)
    for status, errors in sorted(by_status.items()):
        found[str(status)] = _error(errors)
    return found


def _answer(answer: Answer, shapes: _Shapes, *, framed: bool) -> dict[str, Any]:
    headers: dict[str, Any] = {name: _header(text) for name, text in answer.headers.items()}
    if framed:
        headers["X-Request-Id"] = {"$ref": "#/components/headers/RequestId"}
    described: dict[str, Any] = {"description": answer.text, "headers": headers}
    if answer.content:
        described["content"] = {each.media_type: _content(each, shapes) for each in answer.content}
    return described


def _error(errors: Sequence[ErrorAnswer]) -> dict[str, Any]:
    """The answer of one status, whatever the reason: an example for each."""
    headers: dict[str, Any] = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
    examples = {}
    for number, error in enumerate(errors, 1):
        headers |= {name: _header(text) for name, text in error.headers.items()}
        body = error.body.model_copy(update={"request_id": _REQUEST_ID})
        name = (body.key or "error") + (f"_{number}" if len(errors) > 1 else "")
        examples[name] = {
            "summary": body.details or body.message,
            "value": body.model_dump(exclude_none=True),
        }
    schema = {"$ref": _COMPONENT.format(model="ErrorBody")}
    return {
        "description": " · ".join(dict.fromkeys(error.body.message for error in errors)),
        "headers": headers,
        "content": {"application/json": {"schema": schema, "examples": examples}},
    }


def _header(text: str) -> dict[str, Any]:
    return {"description": text, "schema": {"type": "string"}}
