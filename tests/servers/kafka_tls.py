"""A real Kafka node that speaks TLS only, with an authority of its own made by the command ``openssl``."""

import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.servers.kafka import new_cluster_id
from tests.servers.kafka_node import KafkaNode, free_port

USER = "binmirror"
PASSWORD = "swordfish"
_MECHANISM = "SCRAM-SHA-512"


class Identity(NamedTuple):
    """PEM files of a certificate and its key."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates that live a day."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.certificate = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        _openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={name}"),
            *("-keyout", str(self._key), "-out", str(self.certificate)),
        )

    def sign(self, name: str) -> Identity:
        """A certificate of ``name``, good for 127.0.0.1."""
        made = Identity(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        request, names = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        names.write_text("subjectAltName=IP:127.0.0.1\n")
        _openssl(
            *("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"),
            *("-keyout", str(made.key), "-out", str(request)),
        )
        _openssl(
            *("x509", "-req", "-days", "1", "-in", str(request), "-out", str(made.certificate)),
            *("-CA", str(self.certificate), "-CAkey", str(self._key), "-CAcreateserial"),
            *("-extfile", str(names)),
        )
        return made


class TlsBroker(KafkaNode):
    """One node. ``ssl_port`` asks clients for a certificate, ``sasl_port`` for ``USER`` and ``PASSWORD``."""

    def __init__(self, directory: Path, authority: Authority) -> None:
        self.ssl_port, self.sasl_port, controller = free_port(), free_port(), free_port()
        broker = authority.sign("broker")
        store = directory / "broker-store.pem"
        directory.mkdir(parents=True, exist_ok=True)
        store.write_bytes(broker.key.read_bytes() + broker.certificate.read_bytes())
        login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        listeners = f"SSL://127.0.0.1:{self.ssl_port},SASL_SSL://127.0.0.1:{self.sasl_port}"
        super().__init__(
            directory,
            {
                "process.roles": "broker,controller",
                "node.id": "1",
                "controller.quorum.voters": f"1@127.0.0.1:{controller}",
                "listeners": f"{listeners},CONTROLLER://127.0.0.1:{controller}",
                "advertised.listeners": listeners,
                "controller.listener.names": "CONTROLLER",
                "inter.broker.listener.name": "SSL",
                "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL",
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": str(store),
                "ssl.truststore.type": "PEM",
                "ssl.truststore.location": str(authority.certificate),
                "listener.name.ssl.ssl.client.auth": "required",
                "sasl.enabled.mechanisms": _MECHANISM,
                "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": login,
                "offsets.topic.replication.factor": "1",
                "offsets.topic.num.partitions": "1",
                "transaction.state.log.replication.factor": "1",
                "transaction.state.log.min.isr": "1",
                "group.initial.rebalance.delay.ms": "0",
                "auto.create.topics.enable": "false",
            },
        )

    def start(self) -> None:
        """Returns when it takes connections."""
        self.format(new_cluster_id(), "--add-scram", f"{_MECHANISM}=[name={USER},password={PASSWORD}]")
        self.launch()
        self.wait_ready()


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
