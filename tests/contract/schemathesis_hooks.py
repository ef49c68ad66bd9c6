"""For schemathesis, which runs in a process of its own: webhooks are signed as Voucherify signs them."""

from typing import Any, Final
from urllib.parse import urlencode

import requests
import schemathesis

from schemas.samples import sign
from tests.stack import CREDENTIALS, SECRET

_WEBHOOKS: Final = "/webhooks/voucherify"
_TOKENS: Final = "/v1/oauth/token"
_MAX_VALUES: Final = 450
_MAX_QUERY: Final = 30_000


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Sign webhooks, whatever they are; let a client that asks for a token name itself in one way."""
    del context
    kwargs["auth"] = _signed if case.path.startswith(_WEBHOOKS) else _named_once


def _signed(request: requests.PreparedRequest) -> requests.PreparedRequest:
    body = request.body or b""
    assert isinstance(body, str | bytes)
    request.headers["X-Voucherify-Signature"] = sign(SECRET, body.encode() if isinstance(body, str) else body)
    return request


def _named_once(request: requests.PreparedRequest) -> requests.PreparedRequest:
    if request.path_url == _TOKENS and "Authorization" in request.headers:
        for name in CREDENTIALS:
            request.headers.pop(name, None)
    return request


@schemathesis.hook
def filter_query(context: Any, query: dict[str, Any] | None) -> bool:
    """Leave out what no schema can say: a query has 64 KiB and 500 values in all."""
    del context
    return _fits(query)


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """The same for cases that are not drawn by chance."""
    del context
    return _fits(case.query)


def _fits(query: Any) -> bool:
    if not isinstance(query, dict):
        return True
    values = [each for value in query.values() for each in (value if isinstance(value, list) else [value])]
    return len(values) < _MAX_VALUES and len(urlencode({"": values}, doseq=True)) < _MAX_QUERY
