"""Three real Kafka nodes with SCRAM: replication 3, two replicas in sync for every acknowledgement."""

from pathlib import Path

from tests.servers.kafka import new_cluster_id
from tests.servers.kafka_node import KafkaNode, free_port

USER = "binmirror"
PASSWORD = "swordfish"
_MECHANISM = "SCRAM-SHA-512"
_JVM = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class KafkaCluster:
    """Three nodes, each broker and controller; clients authenticate as ``USER`` with ``PASSWORD``."""

    def __init__(self, directory: Path) -> None:
        self.ports = {number: free_port() for number in (1, 2, 3)}
        controllers = {number: free_port() for number in (1, 2, 3)}
        voters = ",".join(f"{number}@127.0.0.1:{port}" for number, port in controllers.items())
        self.nodes = {
            number: KafkaNode(
                directory / str(number),
                {**_common(voters), **_own(number, self.ports[number], controllers[number])},
                jvm_options=_JVM,
            )
            for number in (1, 2, 3)
        }

    @property
    def bootstrap(self) -> tuple[str, ...]:
        """``host:port`` of each node."""
        return tuple(f"127.0.0.1:{port}" for port in self.ports.values())

    def start(self) -> None:
        cluster_id = new_cluster_id()
        for node in self.nodes.values():
            if not node.formatted:
                node.format(cluster_id, "--add-scram", f"{_MECHANISM}=[name={USER},password={PASSWORD}]")
        for node in self.nodes.values():
            node.launch()
        for node in self.nodes.values():
            node.wait_ready()

    def restore(self) -> None:
        """All nodes running and thawed."""
        for node in self.nodes.values():
            node.restore()

    def kill(self) -> None:
        for node in self.nodes.values():
            node.kill()


def _common(voters: str) -> dict[str, str]:
    login = "org.apache.kafka.common.security.scram.ScramLoginModule required"
    return {
        "process.roles": "broker,controller",
        "controller.quorum.voters": voters,
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "SASL_PLAINTEXT",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT",
        "sasl.enabled.mechanisms": _MECHANISM,
        "sasl.mechanism.inter.broker.protocol": _MECHANISM,
        "listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config": (
            f'{login} username="{USER}" password="{PASSWORD}";'
        ),
        "default.replication.factor": "3",
        "min.insync.replicas": "2",
        "offsets.topic.replication.factor": "3",
        "offsets.topic.num.partitions": "1",
        "transaction.state.log.replication.factor": "3",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        "broker.session.timeout.ms": "6000",
        "auto.create.topics.enable": "false",
    }


def _own(number: int, port: int, controller: int) -> dict[str, str]:
    return {
        "node.id": str(number),
        "listeners": f"SASL_PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"SASL_PLAINTEXT://127.0.0.1:{port}",
    }
