"""What holds on every route of the application: no credentials, no answer; no project sees another's."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import copy
from typing import Final, NamedTuple

import httpx
import pytest

from consumer.bootstrap.operators import key_admin
from consumer.projection.base import EventQuery
from consumer.settings import Settings
from consumer.types import ALL_PERMISSIONS
from consumer.web.frame import Frame
from schemas.samples import campaign_deleted, voucher_deleted
from tests.unit.access_cases import CASES, FORM, Case
from tests.unit.access_kit import application, beginning, protected, settings_in
from tests.unit.binkit import MINUTE, MORNING, filled
from tests.unit.webkit import is_error

ALPHA: Final = {"X-App-Id": "alpha-id", "X-App-Token": "alpha-token"}
BETA: Final = {"X-App-Id": "beta-id", "X-App-Token": "beta-token"}
CODE, VOUCHER, CAMPAIGN, EVENT = "CODE-OF-ALPHA", "v_of_alpha", "camp_of_alpha", "evvou_of_alpha"
NAME: Final = "campaign of alpha"


class App(NamedTuple):
    """The application as ``serve`` makes it, with all that an API has."""

    frame: Frame
    settings: Settings
    alphas: dict[str, str]
    """What is asked with: see ``Case``."""

    def client(self, headers: dict[str, str] | None = None) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.frame)
        return httpx.AsyncClient(transport=transport, base_url="http://b.test", headers=headers)

    async def ask(self, case: Case, method: str, headers: dict[str, str]) -> httpx.Response:
        path, body = (_filled_in(text, self.alphas) for text in (case.path, case.body))
        kind = {"Content-Type": case.content_type} if case.body else {}
        async with self.client({**headers, **case.headers, **kind}) as client:
            if case.until:
                return await beginning(self.frame, client.build_request(method, path), case.until.encode())
            return await client.request(method, path, content=body)

    def told(self, response: httpx.Response) -> set[str]:
        """What of alpha's is in the answer, but not in the request."""
        asked = f"{response.request.url} {response.request.content.decode()}"
        secrets = {*self.alphas.values(), NAME, CODE.casefold()}
        return {secret for secret in secrets if secret in response.text and secret not in asked}


def _filled_in(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


@pytest.fixture(scope="module")
def bin_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bin in which alpha has a campaign with a voucher, and beta another voucher."""
    folder = tmp_path_factory.mktemp("access")
    voucher = voucher_deleted(code=CODE, voucher_id=VOUCHER, event_id=EVENT, occurred_at=MORNING)
    campaign = campaign_deleted(name=NAME, campaign_id=CAMPAIGN, occurred_at=MORNING + MINUTE)
    other = voucher_deleted(code="CODE-OF-BETA", voucher_id="v_beta", occurred_at=MORNING)
    filled(folder, [("alpha", voucher), ("alpha", campaign), ("beta", other)])
    return folder / "bin.db"


@pytest.fixture
async def app(bin_file: Path, tmp_path: Path) -> AsyncIterator[App]:
    """Everything that ``serve --role api`` has, on files."""
    copy(bin_file, tmp_path / "bin.db")
    async with served(settings_in(tmp_path)) as app:
        yield app


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[App]:
    async with application(settings) as (frame, api):
        (event,) = await api.reader.events(EventQuery(project="alpha", resource_id=VOUCHER))
        app = App(frame, settings, {"event_id": event.event_id, "code": CODE, "resource_id": VOUCHER})
        page = (await app.ask(Case("/v1/trash-bin"), "GET", ALPHA)).json()
        entry_id = next(entry["id"] for entry in page["data"] if entry["resource_id"] == VOUCHER)
        app.alphas.update(entry_id=entry_id, campaign_id=CAMPAIGN)
        yield app


async def created(app: App, project: str) -> dict[str, str]:
    """A key of the project that may do everything."""
    async with key_admin(app.settings) as admin:
        permissions = sorted(ALL_PERMISSIONS)
        key, token = await admin.create(project=project, name="t", permissions=permissions, who="ann")
    return {"X-App-Id": key.app_id, "X-App-Token": token}


async def bearer(app: App, key: dict[str, str]) -> dict[str, str]:
    async with app.client({**key, "Content-Type": FORM}) as client:
        response = await client.post("/v1/oauth/token", content="grant_type=client_credentials")
    return {"Authorization": f"Bearer {response.json()['access_token']}"}


async def test_no_route_without_credentials(app: App) -> None:
    """Without credentials, with wrong ones and with a wrong access token every route answers 401."""
    wrong = [
        {},
        {**ALPHA, "X-App-Token": "beta-token"},
        {"X-App-Id": "key_0", "X-App-Token": "x"},
        {"Authorization": "Bearer nothing"},
        {"Authorization": "Basic YWxwaGEtaWQ6YWxwaGE="},
    ]
    for method, path in protected(app.frame):
        for headers in wrong:
            # Whatever is wrong besides, credentials come first: what is asked for need not exist.
            case = Case(
                re.sub(r"\{[^}]*\}", "x", path), CASES[method, path].body, CASES[method, path].content_type
            )
            response = await app.ask(case, method, headers)
            assert is_error(response, 401, "unauthorized"), (method, path, headers)
            assert "www-authenticate" in response.headers


async def test_no_project_sees_another_s(app: App) -> None:
    """Whatever beta asks for in whichever way, it is told nothing of alpha's and changes nothing of it."""
    key = await created(app, "beta")
    callers = [BETA, key, await bearer(app, key), await bearer(app, BETA)]
    before = (await app.ask(Case("/v1/trash-bin"), "GET", ALPHA)).json()
    assert len(before["data"]) == 2
    for (method, path), case in CASES.items():
        for headers in callers:
            if path == "/v1/oauth/token" and "Authorization" in headers:
                continue  # takes no access tokens
            response = await app.ask(case, method, headers)
            assert response.status_code == case.beta, (method, path, response.text)
            assert not app.told(response), (method, path, response.text)
    assert (await app.ask(Case("/v1/trash-bin"), "GET", ALPHA)).json() == before


async def test_the_cases_prove_something(app: App) -> None:
    """The same requests show alpha's own caller what beta's must not see."""
    key = await created(app, "alpha")
    for (method, path), case in CASES.items():
        response = await app.ask(case, method, key)
        assert response.status_code == case.alpha, (method, path, response.text)
        assert bool(app.told(response)) is case.shows, (method, path, response.text)
