"""Deliveries as Voucherify sends them, about 2 KB each, for ``send``, demo, tests and benchmarks.

Compact JSON, as Voucherify signs it. Ids left empty are made fresh: random, of Voucherify's shape. The
time left out is a fixed one, so that nothing here reads a clock.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from typing import Any, Final

from schemas.times import Micros, format_time

OCCURRED_AT: Final[Micros] = 1_707_476_400_000_000
"""2024-02-09T11:00:00Z"""


def sign(secret: bytes, body: bytes) -> str:
    """The value of ``x-voucherify-signature`` for ``body``."""
    return hmac.new(secret, body, hashlib.sha256).hexdigest()


def fresh_id(prefix: str) -> str:
    """A random id of Voucherify's shape: ``evvou_0e451d8bb1100d79dd``."""
    return prefix + secrets.token_hex(9)


def voucher_deleted(
    *,
    code: str | None = "",
    voucher_id: str = "",
    event_id: str = "",
    delivery_id: str = "",
    group_id: str = "",
    project_id: str = "proj_sample",
    campaign_id: str | None = None,
    occurred_at: Micros = OCCURRED_AT,
) -> bytes:
    """``voucher.deleted`` by a person in the dashboard. ``code`` may be None, as in real deliveries."""
    voucher_id = voucher_id or fresh_id("v_")
    code = f"SAMPLE-{secrets.token_hex(4)}" if code == "" else code
    data = {
        "voucher": _voucher(voucher_id, code, campaign_id),
        "campaign": None if campaign_id is None else _campaign_of_voucher(campaign_id),
    }
    event_id = event_id or fresh_id("evvou_")
    return _envelope("voucher.deleted", data, event_id, delivery_id, project_id, occurred_at, group_id)


def documented() -> bytes:
    """The same deletion each time, so that documents with it are the same in all processes."""
    return voucher_deleted(
        code="Trash-Discount-123",
        voucher_id="v_JPfnb5ChY1HdNnaMkA0ikra4gIg0dja6",
        event_id="evvou_0e451d8bb1100d79dd",
        delivery_id="whs_0e451d8bb1100d79de",
        group_id="v-0e451d8bb0d00d79da",
    )


def voucher_alive(
    *,
    event_type: str = "voucher.created",
    code: str | None,
    voucher_id: str,
    event_id: str = "",
    campaign_id: str | None = None,
    occurred_at: Micros = OCCURRED_AT,
) -> bytes:
    """``voucher.created`` or ``voucher.updated``."""
    data = {
        "voucher": _voucher(voucher_id, code, campaign_id),
        "campaign": None if campaign_id is None else _campaign_of_voucher(campaign_id),
    }
    return _envelope(event_type, data, event_id or fresh_id("evvou_"), "", "proj_sample", occurred_at)


def campaign_deleted(
    *,
    name: str = "Loyalty Spring",
    campaign_id: str = "",
    event_id: str = "",
    delivery_id: str = "",
    project_id: str = "proj_sample",
    occurred_at: Micros = OCCURRED_AT,
) -> bytes:
    """``campaign.deleted`` by a person in the dashboard."""
    data = {
        "campaign": _campaign(campaign_id or fresh_id("camp_"), name),
        "deleted_at": format_time(occurred_at),
    }
    return _envelope(
        "campaign.deleted", data, event_id or fresh_id("evcam_"), delivery_id, project_id, occurred_at
    )


def old_envelope(
    *,
    event_type: str = "voucher.deleted",
    resource_id: str = "",
    name: str | None = "",
    event_id: str = "",
    project_id: str = "proj_sample",
    occurred_at: Micros = OCCURRED_AT,
) -> bytes:
    """The same events in the envelope of v2018-08-01; ``name`` is a voucher's code or a campaign's name."""
    name = f"SAMPLE-{secrets.token_hex(4)}" if name == "" else name
    if event_type.startswith("voucher."):
        thing = _voucher(resource_id or fresh_id("v_"), name, None)
    else:
        thing = _campaign(resource_id or fresh_id("camp_"), name)
    return _compact(
        {
            "id": event_id or fresh_id("ev_"),
            "object": "event",
            "webhook_id": fresh_id("wh_"),
            "project_id": project_id,
            "created_at": format_time(occurred_at),
            "type": event_type,
            "data": {"object": thing},
            "metadata": {},
        }
    )


def _envelope(
    event_type: str,
    data: Mapping[str, Any],
    event_id: str,
    delivery_id: str,
    project_id: str,
    occurred_at: Micros,
    group_id: str = "",
) -> bytes:
    moment = format_time(occurred_at)
    return _compact(
        {
            "id": delivery_id or fresh_id("whs_"),
            "project_id": project_id,
            "created_at": moment,
            "type": event_type,
            "data": data,
            "source": {
                "id": "wh_i45Uez36Uz8XNW6PXC0eyGmb",
                "object": "webhook",
                "target_url": "https://example.com/webhooks/voucherify",
            },
            "event": {
                "id": event_id,
                "type": event_type,
                "created_at": moment,
                "group_id": group_id or fresh_id("v-"),
                "event_source": {
                    "user": {"id": "user_ypzfEcSAphSONMGJRlj6trzXKsh7FGX7"},
                    "channel": "USER_PORTAL",
                },
            },
        }
    )


_ASSETS: Final = {
    "qr": {
        "id": "4eb4397e-74b7-4272-85ce-8009699bb216",
        "url": "https://dl.voucherify.io/api/v1/assets/qr/U2FsdGVkX1_cVbg1IlJCUhDCBFHvEXzXKSOk",
    },
    "barcode": {
        "id": "abb5691b-92f7-413a-ad22-ca492ac9df8a",
        "url": "https://dl.voucherify.io/api/v1/assets/barcode/U2FsdGVkX19wuMaVGOSCK5BVMdTm",
    },
}


def _voucher(voucher_id: str, code: str | None, campaign_id: str | None) -> dict[str, Any]:
    path = f"/v1/vouchers/{code or 'null'}"
    return {
        "id": voucher_id,
        "code": code,
        "gift": None,
        "type": "DISCOUNT_VOUCHER",
        "active": True,
        "assets": _ASSETS,
        "object": "voucher",
        "publish": {"url": f"{path}/publications?page=1&limit=10", "count": 0, "object": "list"},
        "campaign": None if campaign_id is None else "Spring Discounts",
        "category": None,
        "discount": {
            "type": "PERCENT",
            "effect": "APPLY_TO_ITEMS",
            "percent_off": 5,
            "amount_limit": 15000,
            "aggregated_amount_limit": 30000,
        },
        "metadata": {"brand": "Adventure", "region": "EMEA"},
        "holder_id": "cust_ufwK2qUNGDYxa1aji7XKzuHm",
        "categories": [],
        "created_at": "2024-02-02T02:02:02.222Z",
        "redemption": {
            "url": f"{path}/redemptions?page=1&limit=10",
            "object": "list",
            "quantity": 1,
            "redeemed_quantity": 0,
        },
        "start_date": "2024-02-17T00:00:00.000Z",
        "updated_at": None,
        "campaign_id": campaign_id,
        "category_id": None,
        "loyalty_card": None,
        "validity_hours": None,
        "additional_info": None,
        "expiration_date": "2024-02-29T00:00:00.000Z",
        "is_referral_code": False,
        "validity_timeframe": None,
        "validity_day_of_week": [1, 0],
    }


def _campaign_of_voucher(campaign_id: str) -> dict[str, Any]:
    return {
        "id": campaign_id,
        "name": "Spring Discounts",
        "type": "AUTO_UPDATE",
        "active": True,
        "object": "campaign",
        "voucher": {
            "gift": None,
            "type": "DISCOUNT_VOUCHER",
            "discount": {"type": "PERCENT", "effect": "APPLY_TO_ITEMS", "percent_off": 5},
            "redemption": {"quantity": 1, "redeemed_quantity": 0},
            "code_config": {"length": 3, "prefix": "SPRING-", "charset": "0123456789", "pattern": "###"},
            "loyalty_card": None,
        },
        "metadata": {},
        "auto_join": False,
        "join_once": False,
        "created_at": "2024-02-02T02:02:02.222Z",
        "category_id": None,
        "campaign_type": "DISCOUNT_COUPONS",
        "is_referral_code": False,
    }


def _campaign(campaign_id: str, name: str | None) -> dict[str, Any]:
    return {
        "id": campaign_id,
        "name": name,
        "type": "AUTO_UPDATE",
        "active": True,
        "object": "campaign",
        "voucher": {
            "type": "LOYALTY_CARD",
            "redemption": {"quantity": None},
            "start_date": "2024-02-29T00:00:00.000Z",
            "code_config": {
                "length": 5,
                "prefix": "Loyal-To-Spring",
                "charset": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
                "pattern": "#####",
            },
            "loyalty_card": {
                "points": 0,
                "expiration_rules": {
                    "period_type": "MONTH",
                    "period_value": 2,
                    "rounding_type": "END_OF_QUARTER",
                },
            },
            "expiration_date": "2024-03-31T00:00:00.000Z",
            "is_referral_code": False,
        },
        "metadata": {},
        "auto_join": False,
        "join_once": True,
        "protected": False,
        "categories": [],
        "created_at": "2024-02-21T11:35:17.510Z",
        "start_date": "2024-02-29T00:00:00.000Z",
        "updated_at": "2024-02-21T12:16:13.271Z",
        "category_id": "cat_0e156dab8f2e43873a",
        "campaign_type": "LOYALTY_PROGRAM",
        "vouchers_count": 1,
        "creation_status": "DONE",
        "expiration_date": "2024-03-31T00:00:00.000Z",
        "validity_day_of_week": [1, 2, 3, 4, 5],
        "vouchers_generation_status": "DONE",
        "use_voucher_metadata_schema": True,
    }


def _compact(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
