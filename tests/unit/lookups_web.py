"""What the tests of the lookups' routes share."""

import json
from typing import Any, Final
from urllib.parse import quote

from consumer.types import Project
from schemas.lookups import LookupView
from tests.unit.webkit import CREDENTIALS, PROJECT, FailingReader, Web

SHOP: Final = Project(
    "shop",
    webhook_secrets=(b"x",),
    api_app_id="shop-id",
    api_app_token=b"shop-token",
    case_sensitive_codes=False,
)
SHOP_CREDENTIALS: Final = {"X-App-Id": "shop-id", "X-App-Token": "shop-token"}
STRANGE: Final = ["a/b", "50%", "a b", "ключ", "🎁", "?", "#x", "..", ".", "/", "//", "\\", '"', "%2F", "+"]
VOUCHER: Final = "/mirror/v1/vouchers/"
LOOKUPS: Final = "/mirror/v1/lookups"


def over(lookups: Any) -> Web:
    reader = FailingReader(RuntimeError())
    return Web(reader=reader, lookups=lookups, projects={"default": PROJECT, "shop": SHOP})


async def look(web: Web, code: str, query: str = "", **headers: str) -> dict[str, Any]:
    response = await web.get(VOUCHER + quote(code, safe="") + query, **(headers or CREDENTIALS))
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    found: dict[str, Any] = response.json()
    assert found["code"] == code
    # Answers are made without the models that describe them, and have their very form.
    assert LookupView.model_validate(found).model_dump_json().encode() == response.content
    return found


async def post(web: Web, body: Any, **headers: str) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with web.client() as client:
        return await client.post(LOOKUPS, content=content, headers=headers or CREDENTIALS)
