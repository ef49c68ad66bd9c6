"""What holds on every route of the application: no credentials, no answer; no project sees another's."""

import asyncio
import io
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from shutil import copy
from typing import Final, NamedTuple

import httpx
import pytest
from starlette.routing import Route
from starlette.types import ASGIApp, Message

from consumer.bootstrap.api import make_api
from consumer.bootstrap.operators import key_admin
from consumer.bootstrap.tasks import Tasks
from consumer.clock import SystemClock
from consumer.log import Output, create_log
from consumer.metrics import Metrics
from consumer.projection.base import EventQuery
from consumer.settings import Settings, isolated_settings
from consumer.types import ALL_PERMISSIONS
from consumer.web.app import create_app
from consumer.web.frame import Frame
from schemas.samples import campaign_deleted, voucher_deleted
from tests.unit.access_cases import CASES, FORM, PUBLIC, Case
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

    def routes(self) -> Iterator[tuple[str, str]]:
        """(method, path) of every one."""
        for route in self.frame.routes:
            assert isinstance(route, Route)
            for method in (route.methods or set()) - {"HEAD"}:
                yield method, route.path

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


async def beginning(app: ASGIApp, request: httpx.Request, until: bytes) -> httpx.Response:
    """An answer as far as the first ``until``, which it may never have if it ends; then the client goes."""
    scope = {
        "type": "http",
        "method": request.method,
        "path": request.url.path,
        "query_string": request.url.query,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
    }
    enough = asyncio.Event()
    start: Message = {}
    body = b""

    async def receive() -> Message:
        await enough.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal start, body
        if message["type"] == "http.response.start":
            start = message
        body += message.get("body", b"")
        if until in body:
            enough.set()

    async with asyncio.timeout(20):
        await app(scope, receive, send)
    return httpx.Response(start["status"], headers=start["headers"], content=body, request=request)


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
    settings = isolated_settings(
        event_log=f"sqlite:///{tmp_path}/log.db",
        projection=f"sqlite:///{tmp_path}/bin.db",
        deletes="local",
        stream_heartbeat=0.1,
        projects={
            name: {"api_app_id": f"{name}-id", "api_app_token": f"{name}-token"} for name in ("alpha", "beta")
        },
    )
    async with served(settings) as app:
        yield app


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[App]:
    stop, clock, metrics = asyncio.Event(), SystemClock(), Metrics()
    log = create_log(Output(io.BytesIO()), level="critical", console=False)
    tasks = Tasks(stop, log)
    async with AsyncExitStack() as resources:
        api, check = make_api(
            settings, None, None, resources, tasks, stop=stop, clock=clock, log=log, metrics=metrics
        )
        frame = create_app(
            projects=settings.resolved_projects(),
            producer=None,
            api=api,
            health={"api": check},
            metrics=metrics,
            clock=clock,
            log=log,
            max_body_bytes=1000,
            body_timeout=1,
            shutting_down=stop.is_set,
        )
        assert isinstance(frame, Frame)
        (event,) = await api.reader.events(EventQuery(project="alpha", resource_id=VOUCHER))
        app = App(frame, settings, {"event_id": event.event_id, "code": CODE, "resource_id": VOUCHER})
        page = (await app.ask(Case("/v1/trash-bin"), "GET", ALPHA)).json()
        entry_id = next(entry["id"] for entry in page["data"] if entry["resource_id"] == VOUCHER)
        app.alphas.update(entry_id=entry_id, campaign_id=CAMPAIGN)
        yield app
        stop.set()
        await tasks.finish(5)


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


async def test_every_route_has_a_case(app: App) -> None:
    """A route that is neither public nor has a case in ``access_cases`` fails here."""
    protected = {(method, path) for method, path in app.routes() if path not in PUBLIC}
    assert protected == set(CASES)


async def test_no_route_without_credentials(app: App) -> None:
    """Without credentials, with wrong ones and with a wrong access token every route answers 401."""
    wrong = [
        {},
        {**ALPHA, "X-App-Token": "beta-token"},
        {"X-App-Id": "key_0", "X-App-Token": "x"},
        {"Authorization": "Bearer nothing"},
        {"Authorization": "Basic YWxwaGEtaWQ6YWxwaGE="},
    ]
    for method, path in app.routes():
        if path in PUBLIC:
            continue
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
