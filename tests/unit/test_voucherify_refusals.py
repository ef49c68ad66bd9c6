import json
from pathlib import Path

import httpx
import pytest

from consumer.errors import SettingsError
from consumer.voucherify.errors import (
    ForbiddenError,
    NotFoundError,
    ProtocolError,
    RequestRefusedError,
    UnauthorizedError,
)
from tests.fake_voucherify import faults
from tests.fake_voucherify.app import APP_ID, APP_TOKEN
from tests.unit.voucherify_kit import Kit, ids

REST = Path(__file__).parent.parent / "data" / "voucherify" / "rest"


@pytest.mark.parametrize(
    ("sample", "status", "error", "advice"),
    [
        ("unauthorized.401", 401, UnauthorizedError, "VOUCHERIFY_APP_TOKEN"),
        ("trash-bin.403", 403, ForbiddenError, "vouchers.read, campaigns.read and products.read"),
        ("delete-voucher.404", 404, NotFoundError, "VOUCHERIFY_URL"),
        ("invalid_query_params.400", 400, RequestRefusedError, "end_date"),
    ],
)
async def test_each_refusal_has_its_error(
    at: Kit, sample: str, status: int, error: type[Exception], advice: str
) -> None:
    """A listing's refusals are told apart, say what to do, are not repeated and are never an empty bin."""
    at.fake.script(faults.status(status, body=(REST / f"{sample}.json").read_bytes()), times=None)
    async with at.client() as client:
        with pytest.raises(error, match=advice):
            await ids(client.pages())
    assert len(at.fake.asked) == 1
    assert at.clock.sleeps == []


async def test_wrong_credentials_are_an_error_by_themselves(at: Kit) -> None:
    """The fake, like Voucherify, answers 401 to a wrong token."""
    async with at.client(app_token="wrong") as client:
        with pytest.raises(UnauthorizedError):
            await ids(client.pages())


async def test_a_deletions_403_names_the_permissions_to_delete(at: Kit) -> None:
    """What is missing for a deletion is named."""
    at.fake.script(faults.status(403))
    async with at.client() as client:
        with pytest.raises(ForbiddenError, match=r"vouchers\.delete"):
            await client.delete("tbe_1")


async def test_a_redirect_is_not_followed(at: Kit) -> None:
    """Credentials go to the configured address only; the error names the other."""
    at.fake.script(faults.status(302, {"Location": "https://example.com/login"}))
    async with at.client() as client:
        with pytest.raises(ProtocolError, match=r"example\.com/login.*VOUCHERIFY_URL"):
            await ids(client.pages())
    assert len(at.fake.asked) == 1


async def test_credentials_stay_secret(at: Kit) -> None:
    """Neither repr, errors, waits nor log show the credentials, even when the server echoes them."""
    echo = json.dumps({"code": 401, "message": f"no {APP_TOKEN} of {APP_ID}"}).encode()
    at.fake.script(faults.status(500, body=echo))
    at.fake.script(faults.status(401, body=echo))
    async with at.client() as client:
        with pytest.raises(UnauthorizedError) as caught:
            await ids(client.pages())
        shown = [
            repr(client),
            str(client),
            str(caught.value),
            repr(caught.value),
            at.logged(),
            *map(str, at.waits),
        ]
    assert at.waits
    for text in shown:
        assert APP_TOKEN not in text
        assert APP_ID not in text


@pytest.mark.parametrize("token", ["", "with\nnewline", "ümlaut", " spaces "])
async def test_a_token_that_no_header_carries_is_refused(at: Kit, token: str) -> None:
    """Such a token is a wrong setting; the message does not repeat it."""
    with pytest.raises(SettingsError, match="VOUCHERIFY_APP_TOKEN") as caught:
        at.client(app_token=token)
    assert not token or token not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["eu7.api", "ftp://x", "https://", "https://u:p@x", "https://x/?a=1", "http://x:y"]
)
async def test_a_wrong_address_is_refused(at: Kit, url: str) -> None:
    """What is neither a cluster nor an address is a wrong setting, with an example."""
    with pytest.raises(SettingsError, match=r"VOUCHERIFY_URL=us1\.api") as caught:
        at.client(url=url)
    assert "u:p" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["us1.api", "https://us1.api.voucherify.io/", "https://us1.api.voucherify.io/v1"]
)
async def test_a_cluster_is_named_or_addressed(at: Kit, url: str) -> None:
    """A cluster's name and its address lead to the same place."""
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url.copy_with(query=None)))
        return httpx.Response(200, stream=httpx.ByteStream(faults.page([])))

    async with at.client(url=url, transport=httpx.MockTransport(answer)) as client:
        assert await ids(client.pages()) == []
    assert seen == ["https://us1.api.voucherify.io/v1/trash-bin"]
