"""Keeps a copy of the bin from binmirror's topic of entries, and says what changes. Needs aiokafka alone.

    python entries_subscriber.py kafka-1:9092,kafka-2:9092 bin-entries

The copy is a dictionary here; anything that can put and delete by key will do. It reads the whole
topic at every start; to keep the copy across starts, store the offset of each partition together with it, and
seek there.
"""

import asyncio
import json
import sys
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError


async def follow(servers: str, topic: str) -> None:
    """Read from the start, for ever."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=servers,
        isolation_level="read_committed",  # never what a crashed publisher left half-done
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        group_id=None,  # a copy needs every partition, whoever else reads the topic
    )
    entries: dict[str, dict[str, Any]] = {}
    async with consumer:
        if not consumer.assignment():
            raise SystemExit(f"{servers} has no topic {topic}")
        ends = await consumer.end_offsets(list(consumer.assignment()))
        behind = {part for part, end in ends.items() if end > 0}
        whole = False
        while True:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    take(entries, record.key, record.value, say=whole)
            if not whole:
                behind = {part for part in behind if await consumer.position(part) < ends[part]}
                whole = await told(behind, entries)


def take(entries: dict[str, dict[str, Any]], key: bytes | None, value: bytes | None, *, say: bool) -> None:
    """Put or delete one entry."""
    name = (key or b"").decode()  # project/type/resource id
    if value is None:
        entries.pop(name, None)
        change = "gone"
    else:
        entry = json.loads(value)
        if entry["schema_version"] != 1:
            raise SystemExit(f"{name}: schema version {entry['schema_version']} is not known here")
        entries[name] = entry
        change = entry["state"]  # vanished and purged are followed by a tombstone
    if say:
        print(name, change, flush=True)


async def told(behind: set[TopicPartition], entries: dict[str, dict[str, Any]]) -> bool:
    """Whether the copy is whole; says so."""
    if behind:
        return False
    print(f"whole: {len(entries)} entries", flush=True)
    return True


if __name__ == "__main__":
    try:
        asyncio.run(follow(sys.argv[1], sys.argv[2]))
    except KeyboardInterrupt:
        pass
    except KafkaConnectionError as error:
        raise SystemExit(str(error)) from error
