"""The OpenAPI document tells of every route, and nothing wrong."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from consumer.web.contract.describe import DescribedRoute
from handlers.changes import Entry, Fields, ResourceKey
from schemas.answers import TrashBinPage
from schemas.trash_bin import render_page
from tests.contract.documents import check, document_of, lean_routes_of, operations_of, routes_of, whole
from tests.unit.test_error_shape import failing
from tests.unit.webkit import DATA, ListProducer, Web


@pytest.fixture
async def document() -> Any:
    """That of the application with all roles."""
    return await document_of(whole())


async def test_valid(document: Any) -> None:
    """It is OpenAPI 3.1."""
    OpenAPIV31SpecValidator(document).validate()
    assert document["openapi"].startswith("3.1.")
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


async def test_every_route_is_there(document: Any) -> None:
    """Every route is described, under its own method and path, and nothing else is."""
    web = whole()
    assert [route.path for route in routes_of(web) if not isinstance(route, DescribedRoute)] == []
    paths = {
        (route.method, re.sub(r":\w+}", "}", route.path))
        for route in routes_of(web)
        if isinstance(route, DescribedRoute)
    }
    paths |= {("GET", route.path) for route in lean_routes_of(web)}
    webhooks = {
        ("POST", f"/webhooks/voucherify{end}") for end in ("", "/{project}", "/{project}/{event_name}")
    }
    assert {(method, path) for method, path, _ in operations_of(document)} == paths | webhooks


async def test_names_are_unique_and_texts_there(document: Any) -> None:
    """Each operation has a name of its own, a summary, a known tag; each parameter says what it means."""
    listed = list(operations_of(document))
    names = [operation["operationId"] for _, _, operation in listed]
    assert len(set(names)) == len(names)
    tags = {tag["name"] for tag in document["tags"]}
    for _, path, operation in listed:
        assert operation["summary"]
        assert set(operation["tags"]) <= tags
        parameters = operation.get("parameters", [])
        assert all(parameter["description"] for parameter in parameters)
        in_path = {parameter["name"] for parameter in parameters if parameter["in"] == "path"}
        assert in_path == set(re.findall(r"\{(\w+)\}", path))


async def test_webhooks_are_where_voucherify_reaches_them() -> None:
    """With a public address, it is that of the webhooks' operations and of no others."""
    document = await document_of(Web(ListProducer(), public_url="https://hooks.example.com"))
    servers = {path: operation.get("servers") for _, path, operation in operations_of(document)}
    outside = {path: found for path, found in servers.items() if found is not None}
    assert {found[0]["url"] for found in outside.values()} == {"https://hooks.example.com"}
    assert set(outside) == {path for path in servers if path.startswith("/webhooks/")}


async def test_credentials(document: Any) -> None:
    """What asks for no credentials, and what is answered without them, agree."""
    web = whole()
    for method, path, operation in operations_of(document):
        example = re.sub(r"\{\w+\}", "x", path)
        async with web.client() as client:
            response = await client.request(method, example)
        assert (response.status_code == 401) == bool(operation["security"]), (method, path)
        assert ("401" in operation["responses"]) == bool(operation["security"]), (method, path)


def examples_in(operation: Mapping[str, Any]) -> Iterator[tuple[object, Mapping[str, Any]]]:
    contents = [operation.get("requestBody", {}), *operation["responses"].values()]
    for each in contents:
        for content in each.get("content", {}).values():
            if "example" in content:
                yield content["example"], content["schema"]
            for example in content.get("examples", {}).values():
                yield example["value"], content["schema"]
    for parameter in operation.get("parameters", []):
        if "example" in parameter:
            yield parameter["example"], parameter["schema"]


async def test_examples(document: Any) -> None:
    """Every example has the form that its schema asks for, and every JSON answer of ours has one."""
    for method, path, operation in operations_of(document):
        for example, schema in examples_in(operation):
            check(example, schema, document)
        for status, response in operation["responses"].items():
            content = response.get("content", {}).get("application/json", {})
            if "$ref" in content.get("schema", {}):
                assert "example" in content or "examples" in content, (method, path, status)


async def test_errors(document: Any) -> None:
    """Every error has the one shape and names its request."""
    for _, _, operation in operations_of(document):
        for status, response in operation["responses"].items():
            if status >= "400":
                assert response["headers"]["X-Request-Id"]
                for example, _ in examples_in({"responses": {status: response}}):
                    assert isinstance(example, dict)
                    assert {"code", "message", "request_id"} <= example.keys()
                    assert example["code"] == int(status)


async def test_roles() -> None:
    """A process tells of what it answers alone."""
    receiver = await document_of(Web(ListProducer(), None))
    assert "/webhooks/voucherify" in receiver["paths"]
    assert "/v1/trash-bin" not in receiver["paths"]
    api = await document_of(Web(None, failing(RuntimeError()).reader))
    assert "/webhooks/voucherify" not in api["paths"]
    assert "/v1/trash-bin" in api["paths"]
    assert "/v1/trash-bin/{entry_id}" not in api["paths"]


@pytest.mark.parametrize("path", ["/openapi.json", "/asyncapi.json", "/schemas", "/docs", "/docs/style.css"])
async def test_etag(path: str) -> None:
    """Who has a document already, is told so."""
    web = whole()
    first = await web.get(path)
    assert first.headers["cache-control"] == "no-cache"
    again = await web.get(path, **{"If-None-Match": f'W/"x", {first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert (await web.get(path, **{"If-None-Match": '"another"'})).content == first.content


def test_published_sample_fits() -> None:
    """Voucherify's own sample of a page has the form that we publish."""
    sample = json.loads((DATA / "rest" / "list-bin-entries.200.json").read_text())
    assert TrashBinPage.model_validate(sample).model_dump(exclude_none=True) == sample


@pytest.mark.parametrize("has_more", [False, True])
def test_pages_fit_the_model(has_more: bool) -> None:
    """What the listing writes by hand is what the model says, field by field."""
    full = Fields(1_715_073_313_218_000, "CODE", "camp_1", "user_1")
    listed = [
        entry("v_1", full),
        entry("v_2", full._replace(resource_parent_id=None, deleted_by_user_id=None)),
    ]
    body = json.loads(render_page(listed, has_more=has_more))
    left_out = set() if has_more else {"more_starting_after"}
    assert body == TrashBinPage.model_validate(body).model_dump(exclude=left_out)


def entry(resource_id: str, fields: Fields) -> Entry:
    key = ResourceKey("default", "voucher", resource_id)
    return Entry(key, "in_bin", 0, "", resource_id, None, resource_id, fields, None, None, 0, "")
