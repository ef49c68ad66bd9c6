"""The page that shows the OpenAPI document to people: rendered here, it loads nothing from elsewhere."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

_CODE: Final = re.compile(r"`([^`]+)`")
_ADDRESS: Final = "$BINMIRROR_URL"
_CREDENTIALS: Final[Mapping[str, str]] = {
    "AppId": '-H "X-App-Id: $APP_ID"',
    "AppToken": '-H "X-App-Token: $APP_TOKEN"',
    "AccessToken": '-H "Authorization: Bearer $ACCESS_TOKEN"',
    "Signature": '-H "X-Voucherify-Signature: $SIGNATURE"',
    "Client": '-u "$APP_ID:$APP_TOKEN"',
}


def render_page(document: Mapping[str, Any]) -> str:
    """The whole page of ``document``, as HTML."""
    environment = Environment(
        loader=PackageLoader("consumer.web.contract"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"prose": _prose, "json": _json, "kind": _kind, "slug": _slug}
    page = environment.get_template("docs.html")
    groups = [
        {**tag, "operations": [each for each in _operations(document) if tag["name"] in each["tags"]]}
        for tag in document["tags"]
    ]
    return page.render(document=document, groups=groups, schemas=document["components"]["schemas"])


def _operations(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield {
                "parameters": [],
                "description": "",
                "requestBody": None,
                **operation,
                "method": method.upper(),
                "path": path,
                "curl": _curl(method.upper(), path, operation),
            }


def _curl(method: str, path: str, operation: Mapping[str, Any]) -> str:
    """A command line that asks it, with the examples of the document and credentials from the environment."""
    query = []
    for parameter in operation.get("parameters", ()):
        if "example" not in parameter:
            continue
        example = str(parameter["example"])
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(example, safe=""))
        elif parameter["in"] == "query":
            query.append(f"{quote(parameter['name'], safe='[]$')}={quote(example, safe='')}")
    address = path + ("?" + "&".join(query) if query else "")
    parts = ["curl"] + ([] if method == "GET" else [f"-X {method}"])
    schemes = (operation["security"] or [{}])[0]
    parts += [_CREDENTIALS[scheme] for scheme in schemes]
    for media_type, content in operation.get("requestBody", {"content": {}})["content"].items():
        example = content.get("example", {})
        if media_type == "application/json":
            parts += [f"-H 'Content-Type: {media_type}'", f"-d {shlex.quote(_line(example))}"]
        else:
            parts += [f"-d {shlex.quote(f'{name}={value}')}" for name, value in example.items()]
        break
    return " \\\n  ".join([*parts, f'"{_ADDRESS}{address.replace("$", chr(92) + "$")}"'])


def _line(example: object) -> str:
    return json.dumps(example, ensure_ascii=False)


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _prose(text: str) -> Markup:
    """Paragraphs, lists and code, of the little Markdown that the document uses."""
    blocks = []
    for block in text.strip().split("\n\n"):
        lines = [_CODE.sub(r"<code>\1</code>", str(escape(line))) for line in block.split("\n")]
        if all(line.startswith("- ") for line in lines):
            items = "".join(f"<li>{line[2:]}</li>" for line in lines)
            blocks.append(f"<ul>{items}</ul>")
        else:
            blocks.append(f"<p>{' '.join(lines)}</p>")
    return Markup("\n".join(blocks))  # noqa: S704 - every line was escaped above


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name)


def _kind(schema: Mapping[str, Any]) -> Markup:
    """A schema's type in a few words, with a link to what it refers to."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return Markup('<a href="#schema-{}">{}</a>').format(_slug(name), name)
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    if alternatives:
        return Markup(" or ").join(_kind(each) for each in alternatives)
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return Markup(" or ").join(Markup("<code>{}</code>").format(_line(each)) for each in values)
    if schema.get("type") == "array":
        return Markup("list of {}").format(_kind(schema.get("items", {})))
    if isinstance(schema.get("additionalProperties"), dict):
        return Markup("object of {}").format(_kind(schema["additionalProperties"]))
    return escape(", ".join([str(schema.get("type", "anything")), *_bounds(schema)]))


def _bounds(schema: Mapping[str, Any]) -> Iterator[str]:
    if "format" in schema:
        yield schema["format"]
    if "minimum" in schema or "maximum" in schema:
        yield f"{schema.get('minimum', '…')} to {schema.get('maximum', '…')}"
    if "maxLength" in schema:
        yield f"at most {schema['maxLength']} characters"
    if schema.get("default", "") not in {"", None}:
        yield f"default {_line(schema['default'])}"
