"""A delivery that the topic will not take: set aside with an alarm, and the rest flows."""

import json
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas.samples import voucher_deleted
from tests.e2e.test_commands import binmirror
from tests.servers.kafka import KafkaBroker
from tests.stack import CREDENTIALS, Stack, client_of, deliver, in_bin, running, until

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


async def limit_topic(broker: KafkaBroker, topic: str, max_message_bytes: int) -> None:
    """Change the topic's limit behind binmirror's back: at the start it would refuse such a topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        kept = {"retention.ms": "-1", "retention.bytes": "-1"}  # what is not named goes back to its default
        configs = {"max.message.bytes": str(max_message_bytes), **kept}
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs=configs)
        await admin.alter_configs([resource])
    finally:
        await admin.close()


def large(voucher_id: str) -> bytes:
    body: dict[str, Any] = json.loads(voucher_deleted(voucher_id=voucher_id, event_id=f"ev_{voucher_id}"))
    body["data"]["voucher"]["metadata"] = {"notes": "n" * 200_000}
    return json.dumps(body, separators=(",", ":")).encode()


async def test_refused_delivery_is_set_aside(
    server_stack: Stack, kafka_broker: KafkaBroker, kafka_topic: str
) -> None:
    """It is answered 202 and kept; deliveries after it are mirrored, and it is, once the limit is raised."""
    service = server_stack.service()
    with running(service):
        await service.ready()
        await limit_topic(kafka_broker, kafka_topic, 50_000)
        async with client_of(service.url) as client:
            answer = await deliver(client, large("v_large"))
            assert answer.status_code == 202, answer.text
            assert answer.json()["stored"] == "spool"
            for number in range(30):
                body = voucher_deleted(voucher_id=f"v_{number}", event_id=f"ev_{number}")
                assert (await deliver(client, body)).status_code == 202
            entries = await in_bin(service.url, [f"v_{number}" for number in range(30)])
            assert "v_large" not in {entry["resource_id"] for entry in entries}

            async def set_aside() -> bool:
                metrics = (await client.get("/metrics")).text
                return "binmirror_spool_set_aside_records 1.0" in metrics

            await until(set_aside, "one record set aside")
            health = (await client.get("/health", headers=CREDENTIALS)).json()
            assert health["roles"]["receiver"]["ready"] is True

            listed = binmirror(service, "spool", "list", "--json")
            assert (listed.returncode, json.loads(listed.stdout)["event_id"]) == (1, "ev_v_large")
            await limit_topic(kafka_broker, kafka_topic, 4 << 20)
            # A receiver knows the topic's limit from when it connected.
            service.stop()
            await service.start().ready()
            retried = binmirror(service, "spool", "retry", "--all")
            assert retried.returncode == 0, retried.stderr
            await in_bin(service.url, ["v_large"])
