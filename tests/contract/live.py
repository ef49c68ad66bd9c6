"""The real service with every role in a process of its own, and a bin with something in it."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from schemas.samples import campaign_deleted, sign, voucher_deleted
from tests.stack import (
    APP_ID,
    APP_TOKEN,
    CREDENTIALS,
    PATIENCE,
    SECRET,
    Service,
    Stack,
    clean_env,
    running,
)

VOUCHERS = 12


@contextmanager
def live_service(folder: Path, **env: str) -> Iterator[Service]:
    """A service on SQLite that deletes on its own account; twelve vouchers and a campaign are in its bin."""
    stack = Stack(
        "sqlite",
        folder,
        {
            "BINMIRROR_EVENT_LOG": f"sqlite:///{folder}/log.db",
            "BINMIRROR_PROJECTION": f"sqlite:///{folder}/bin.db",
            "BINMIRROR_DELETES": "local",
            **env,
        },
    )
    service = stack.service()
    with running(service), httpx.Client(base_url=service.url, timeout=10) as client:
        _wait(service, lambda: client.get("/health/ready").json()["status"] == "ready")
        for body in [
            *(voucher_deleted(code=f"CODE-{n:02}", voucher_id=f"v_{n:02}") for n in range(VOUCHERS)),
            campaign_deleted(campaign_id="camp_1"),
        ]:
            headers = {"X-Voucherify-Signature": sign(SECRET, body)}
            client.post("/webhooks/voucherify", content=body, headers=headers).raise_for_status()
        query = {"limit": "100"}
        _wait(
            service,
            lambda: client.get("/v1/trash-bin", params=query, headers=CREDENTIALS).json()["total"] > VOUCHERS,
        )
        yield service


def example_environment(service: Service) -> dict[str, str]:
    """What examples take, and ``python3`` with the packages of this environment."""
    inherited = clean_env()
    return {
        **inherited,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{inherited['PATH']}",
        "BINMIRROR_URL": service.url,
        "APP_ID": APP_ID,
        "APP_TOKEN": APP_TOKEN,
        "WEBHOOK_SECRET": SECRET.decode(),
    }


def _wait(service: Service, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if condition():
                return
        except httpx.TransportError:
            pass
        assert service.alive(), service.log.read_text()[-4000:]
        assert time.monotonic() < deadline, service.log.read_text()[-4000:]
        time.sleep(0.05)
