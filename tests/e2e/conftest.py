"""The two stacks that binmirror runs on."""

from pathlib import Path
from typing import Any

import pytest

from consumer.projection.migrate import migrate
from tests.servers.kafka import KafkaBroker
from tests.stack import Stack


@pytest.fixture
def sqlite_stack(tmp_path: Path) -> Stack:
    """Everything on SQLite, in files of its own."""
    return Stack(
        "sqlite",
        tmp_path,
        {
            "BINMIRROR_EVENT_LOG": f"sqlite:///{tmp_path}/log.db",
            "BINMIRROR_PROJECTION": f"sqlite:///{tmp_path}/bin.db",
        },
    )


@pytest.fixture
def server_stack(tmp_path: Path, kafka_broker: KafkaBroker, kafka_topic: str, postgres_url: str) -> Stack:
    """Apache Kafka and PostgreSQL, with a fresh topic and a fresh, migrated database."""
    migrate(postgres_url)
    return Stack(
        "servers",
        tmp_path,
        {
            "BINMIRROR_EVENT_LOG": f"kafka://{kafka_broker.bootstrap}/{kafka_topic}",
            "BINMIRROR_PROJECTION": postgres_url,
            "BINMIRROR_SPOOL": f"{tmp_path}/spool.db",
            "BINMIRROR_KAFKA_ALLOW_SINGLE_REPLICA": "true",
        },
    )


@pytest.fixture(
    params=[
        "sqlite_stack",
        pytest.param("server_stack", marks=[pytest.mark.kafka, pytest.mark.postgres]),
    ]
)
def stack(request: pytest.FixtureRequest) -> Any:
    """Each of the two stacks."""
    return request.getfixturevalue(request.param)
