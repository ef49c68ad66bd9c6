"""The compose file's Kafka brokers, run on this machine with their own settings."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.deploy.files import COMPOSE_FILES, services, set_by
from tests.servers.kafka_node import KafkaNode, free_port

_JVM = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_NUMBERS = (1, 2, 3)


@contextmanager
def compose_brokers(folder: Path) -> Iterator[dict[str, str]]:
    """All three, ready. Their addresses inside the compose network, with where they are instead."""
    listeners = {number: free_port() for number in _NUMBERS}
    controllers = {number: free_port() for number in _NUMBERS}
    moved = {f"kafka-{number}:9092": f"127.0.0.1:{port}" for number, port in listeners.items()}
    moved |= {f"kafka-{number}:9093": f"127.0.0.1:{port}" for number, port in controllers.items()}
    found = services(COMPOSE_FILES[0])
    nodes = []
    try:
        for number in _NUMBERS:
            env = set_by(found[f"kafka-{number}"])
            own = {"://:9092": f"://127.0.0.1:{listeners[number]}"}
            own |= {"://:9093": f"://127.0.0.1:{controllers[number]}"}
            node = KafkaNode(folder / f"kafka-{number}", properties(env, moved | own), jvm_options=_JVM)
            node.format(env["CLUSTER_ID"])
            node.launch()
            nodes.append(node)
        for node in nodes:
            node.wait_ready()
        yield moved
    finally:
        for node in nodes:
            node.kill()


def properties(env: dict[str, str], moved: dict[str, str]) -> dict[str, str]:
    """The broker's configuration that the image makes of its environment."""
    found = {}
    for name, value in env.items():
        if name.startswith("KAFKA_") and name != "KAFKA_HEAP_OPTS":
            found[name.removeprefix("KAFKA_").lower().replace("_", ".")] = replaced(value, moved)
    return found


def replaced(text: str, moved: dict[str, str]) -> str:
    """``text`` with every address that moved."""
    for old, new in moved.items():
        text = text.replace(old, new)
    return text
