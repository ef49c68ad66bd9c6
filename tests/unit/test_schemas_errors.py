import json

import pytest

from schemas import errors

BODIES = [
    (errors.invalid_query_params("x", request_id="r"), 400, "invalid_query_params"),
    (errors.unauthorized(request_id="r"), 401, "unauthorized"),
    (errors.missing_permission(request_id="r"), 403, "missing_required_permission"),
    (errors.resource_not_found("voucher", "v", request_id="r"), 404, "not_found"),
    (errors.not_found("x", request_id="r"), 404, "not_found"),
    (errors.method_not_allowed("POST", request_id="r"), 405, "method_not_allowed"),
    (errors.request_timeout(request_id="r"), 408, "request_timeout"),
    (errors.payload_too_large(5, request_id="r"), 413, "payload_too_large"),
    (errors.too_many_requests(request_id="r"), 429, None),
    (errors.internal_error(request_id="r"), 500, "internal_error"),
    (errors.service_unavailable("x", request_id="r"), 503, "service_unavailable"),
]


@pytest.mark.parametrize(("body", "status", "key"), BODIES)
def test_every_error_has_the_one_shape(body: errors.ErrorBody, status: int, key: str | None) -> None:
    """Status, key, message and request id; nothing null; no field that Voucherify's error lacks."""
    shown = json.loads(body.to_json())
    assert (shown["code"], shown.get("key"), shown["request_id"]) == (status, key, "r")
    assert shown["message"]
    assert None not in shown.values()
    assert shown.keys() <= {
        "code",
        "key",
        "message",
        "details",
        "request_id",
        "resource_id",
        "resource_type",
    }


def test_an_endless_id_is_not_repeated() -> None:
    """Of an id that is longer than any id, an answer repeats the beginning."""
    body = errors.resource_not_found("voucher", "v" * 301)
    assert body.resource_id == "v" * 300
    assert body.details == f"Cannot find voucher with id {'v' * 300}"
