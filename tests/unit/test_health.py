"""Health, readiness and metrics."""

import asyncio

import pytest

from consumer.errors import LogUnavailableError, SchemaMismatchError
from consumer.types import Health, HealthCheck
from consumer.web import health as health_module
from tests.unit.webkit import CREDENTIALS, DELETED, PATH, ListProducer, Web, is_error


async def well() -> Health:
    return Health(ready=True, summary="all is well", details={"lag": 0})


async def unwell() -> Health:
    return Health(ready=False, summary="PostgreSQL is away; it is tried again", details={"since": 12.5})


def raising(error: Exception) -> HealthCheck:
    async def check() -> Health:
        raise error

    return check


async def stuck() -> Health:
    await asyncio.Event().wait()
    raise AssertionError


async def test_live() -> None:
    """A process is alive as long as it answers, however its roles are."""
    response = await Web(health={"worker": unwell}).get("/health/live")
    assert response.status_code == 200
    assert response.json() == {"status": "alive"}


async def test_ready() -> None:
    """All roles of the process are ready: 200, with a line for each, and no details."""
    response = await Web(health={"receiver": well, "worker": well}).get("/health/ready")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ready",
        "roles": {
            "receiver": {"ready": True, "summary": "all is well"},
            "worker": {"ready": True, "summary": "all is well"},
        },
    }


async def test_one_role_not_ready() -> None:
    """One role's trouble is told apart from the others' health."""
    response = await Web(health={"api": well, "worker": unwell}).get("/health/ready")
    assert is_error(response, 503, "not_ready")
    assert response.json()["status"] == "not_ready"
    assert response.json()["roles"]["api"]["ready"] is True
    assert response.json()["roles"]["worker"] == {
        "ready": False,
        "summary": "PostgreSQL is away; it is tried again",
    }


async def test_others_never_take_the_receiver_out() -> None:
    """Where there is a receiver, its readiness alone decides; the others' trouble is told all the same."""
    response = await Web(health={"receiver": well, "worker": unwell}).get("/health/ready")
    assert response.status_code == 200
    assert response.json()["status"] == "degraded"
    assert response.json()["roles"]["worker"]["ready"] is False
    response = await Web(health={"receiver": unwell, "worker": well}).get("/health/ready")
    assert is_error(response, 503, "not_ready")


async def test_readiness_of_one_role() -> None:
    """Each role answers for itself; one that the process does not have is not found."""
    web = Web(health={"receiver": well, "worker": unwell})
    assert (await web.get("/health/ready/receiver")).status_code == 200
    response = await web.get("/health/ready/worker")
    assert is_error(response, 503, "not_ready")
    assert response.json()["details"] == "worker: PostgreSQL is away; it is tried again"
    assert is_error(await web.get("/health/ready/api"), 404, "not_found")


async def test_no_roles_but_http() -> None:
    """A process without checks is ready."""
    assert (await Web().get("/health/ready")).json() == {"status": "ready", "roles": {}}


@pytest.mark.parametrize(
    ("error", "summary", "logged"),
    [
        (LogUnavailableError("Kafka does not answer"), "Kafka does not answer", False),
        (SchemaMismatchError("run `binmirror migrate`"), "run `binmirror migrate`", False),
        (RuntimeError("secret inside"), "the check failed: RuntimeError", True),
    ],
    ids=["transient", "stop", "bug"],
)
async def test_failing_check(error: Exception, summary: str, *, logged: bool) -> None:
    """A check that raises is a role that is not ready; a bug's text stays in the log."""
    web = Web(health={"worker": well, "api": raising(error)})
    response = await web.get("/health/ready")
    assert response.status_code == 503
    assert response.json()["roles"]["api"] == {"ready": False, "summary": summary}
    assert response.json()["roles"]["worker"]["ready"] is True
    assert bool(web.lines) is logged


async def test_check_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that hangs is a role that is not ready, and the answer comes all the same."""
    monkeypatch.setattr(health_module, "CHECK_SECONDS", 0.05)
    response = await Web(health={"api": stuck}).get("/health/ready")
    assert response.status_code == 503
    assert response.json()["roles"]["api"]["summary"] == "no answer within 0.05 s"


async def test_report() -> None:
    """Holders of credentials see everything."""
    web = Web(health={"receiver": well, "worker": unwell})
    response = await web.get("/health", **CREDENTIALS)
    assert response.status_code == 200
    assert response.json() == {
        "status": "not_ready",
        "version": "1.2.3",
        "roles": {
            "receiver": {"ready": True, "summary": "all is well", "details": {"lag": 0}},
            "worker": {
                "ready": False,
                "summary": "PostgreSQL is away; it is tried again",
                "details": {"since": 12.5},
            },
        },
    }


async def test_report_needs_credentials() -> None:
    """Nobody else sees them."""
    web = Web(health={"receiver": well})
    assert is_error(await web.get("/health"), 401, "unauthorized")
    assert is_error(await web.get("/health", **{**CREDENTIALS, "X-App-Token": "x"}), 401, "unauthorized")


async def test_metrics() -> None:
    """Metrics come in Prometheus' text form, with the deliveries counted from 0 on."""
    web = Web(ListProducer())
    before = await web.get("/metrics")
    assert before.headers["content-type"].startswith("text/plain; version=")
    assert 'binmirror_deliveries_total{outcome="unauthorized",project="default"} 0.0' in before.text
    assert "binmirror_last_verified_delivery_timestamp_seconds{" not in before.text
    await web.post(DELETED)
    after = (await web.get("/metrics")).text
    assert 'binmirror_deliveries_total{outcome="stored",project="default"} 1.0' in after
    assert 'binmirror_last_verified_delivery_timestamp_seconds{project="default"}' in after
    assert 'binmirror_http_requests_total{route="/metrics",status="200"} 1.0' in after


async def test_metrics_have_bounded_labels() -> None:
    """Paths that lead nowhere, and unknown projects, do not become labels."""
    web = Web(ListProducer())
    for n in range(3):
        await web.get(f"/nothing/{n}")
        await web.post(DELETED, f"{PATH}/stranger{n}")
    text = (await web.get("/metrics")).text
    assert 'binmirror_http_requests_total{route="(none)",status="404"} 3.0' in text
    assert 'binmirror_deliveries_total{outcome="unauthorized",project="(unknown)"} 3.0' in text
    assert "stranger" not in text
