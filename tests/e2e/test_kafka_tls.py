"""Kafka over TLS: the settings work, and each wrong one gives one line that names the trouble."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from schemas.samples import voucher_deleted
from tests.entries_kit import Subscriber
from tests.servers.kafka_tls import PASSWORD, USER, Authority, Identity, TlsBroker
from tests.servers.prefork import run
from tests.stack import Stack, clean_env, client_of, deliver, in_bin, running

pytestmark = pytest.mark.kafka


class Secure(NamedTuple):
    """A broker, and who trusts whom."""

    broker: TlsBroker
    authority: Authority
    client: Identity
    stranger: Authority
    """Signed nothing that the broker has, or trusts."""


@pytest.fixture(scope="module")
def secure(kafka_packages: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    del kafka_packages
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder / "ca", "authority")
    stranger = Authority(folder / "other", "stranger")
    broker = TlsBroker(folder / "broker", authority)
    broker.start()
    yield Secure(broker, authority, authority.sign("client"), stranger)
    broker.kill()


def with_certificate(secure: Secure, topic: str) -> dict[str, str]:
    """Settings of a client that shows a certificate."""
    return {
        "BINMIRROR_EVENT_LOG": f"kafka://127.0.0.1:{secure.broker.ssl_port}/{topic}",
        "BINMIRROR_KAFKA_SECURITY_PROTOCOL": "SSL",
        "BINMIRROR_KAFKA_CA": str(secure.authority.certificate),
        "BINMIRROR_KAFKA_CERTIFICATE": str(secure.client.certificate),
        "BINMIRROR_KAFKA_KEY": str(secure.client.key),
        "BINMIRROR_KAFKA_ALLOW_SINGLE_REPLICA": "true",
        "BINMIRROR_KAFKA_REPLICATION_FACTOR": "1",
    }


def with_password(secure: Secure, topic: str) -> dict[str, str]:
    """Settings of a client that has a password."""
    return {
        "BINMIRROR_EVENT_LOG": f"kafka://127.0.0.1:{secure.broker.sasl_port}/{topic}",
        "BINMIRROR_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "BINMIRROR_KAFKA_CA": str(secure.authority.certificate),
        "BINMIRROR_KAFKA_USER": USER,
        "BINMIRROR_KAFKA_PASSWORD": PASSWORD,
        "BINMIRROR_KAFKA_ALLOW_SINGLE_REPLICA": "true",
        "BINMIRROR_KAFKA_REPLICATION_FACTOR": "1",
    }


def subscribing(secure: Secure, kind: str) -> tuple[str, dict[str, Any]]:
    """What a subscriber of the topic of entries connects with, as its documentation says."""
    context = ssl.create_default_context(cafile=secure.authority.certificate)
    if kind == "certificate":
        context.load_cert_chain(secure.client.certificate, secure.client.key)
        return f"127.0.0.1:{secure.broker.ssl_port}", {"security_protocol": "SSL", "ssl_context": context}
    return f"127.0.0.1:{secure.broker.sasl_port}", {
        "security_protocol": "SASL_SSL",
        "ssl_context": context,
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": USER,
        "sasl_plain_password": PASSWORD,
    }


@pytest.mark.parametrize("kind", ["certificate", "password"])
async def test_main_job_over_tls(secure: Secure, tmp_path: Path, kind: str) -> None:
    """A delivery goes through a broker that wants a certificate, or a password over TLS, into the bin,
    and from there into the topic of entries.
    """
    settings = with_certificate if kind == "certificate" else with_password
    bootstrap, security = subscribing(secure, kind)
    env = settings(secure, f"bin-{kind}")
    env |= {
        "BINMIRROR_ENTRIES_TOPIC": f"kafka://{bootstrap}/entries-{kind}",
        "BINMIRROR_PROJECTION": f"sqlite:///{tmp_path}/bin.db",
        "BINMIRROR_SPOOL": f"{tmp_path}/spool.db",
        "BINMIRROR_KAFKA_CREATE_TOPIC": "true",
    }
    service = Stack("tls", tmp_path, env).service()
    with running(service):
        await service.ready()
        async with client_of(service.url) as client:
            response = await deliver(client, voucher_deleted(voucher_id="v_1", event_id="evvou_1"))
        assert response.status_code == 202
        assert response.json()["position"] is not None, response.text
        await in_bin(service.url, ["v_1"])
        async with Subscriber(bootstrap, f"entries-{kind}", **security) as subscriber:
            await subscriber.until(lambda copy: set(copy) == {"default/voucher/v_1"})


def test_wrong_settings(secure: Secure, tmp_path: Path) -> None:
    """Whatever is wrong between us and the broker: exit 3 in seconds, and one line."""
    right, password = with_certificate(secure, "bin"), with_password(secure, "bin")
    ssl = "BINMIRROR_KAFKA_SECURITY_PROTOCOL"
    wrong: dict[str, tuple[dict[str, str], str]] = {
        "another authority": (
            {**right, "BINMIRROR_KAFKA_CA": str(secure.stranger.certificate)},
            "KAFKA_CA",
        ),
        "the system's authorities": (
            {name: value for name, value in password.items() if name != "BINMIRROR_KAFKA_CA"},
            "KAFKA_CA",
        ),
        "no certificate": (
            {
                n: v
                for n, v in right.items()
                if n not in {"BINMIRROR_KAFKA_CERTIFICATE", "BINMIRROR_KAFKA_KEY"}
            },
            "KAFKA_CERTIFICATE",
        ),
        "a name that the certificate lacks": (
            {**right, "BINMIRROR_EVENT_LOG": f"kafka://localhost:{secure.broker.ssl_port}/bin"},
            "localhost",
        ),
        "plain text": ({**right, ssl: "PLAINTEXT"}, "KAFKA_SECURITY_PROTOCOL"),
        "a wrong password": ({**password, "BINMIRROR_KAFKA_PASSWORD": "geheim"}, "KAFKA_PASSWORD"),
    }
    found = {name: _create_topic(env, tmp_path) for name, (env, _) in wrong.items()}
    for name, (_, words) in wrong.items():
        code, said = found[name]
        assert (name, code, said.count("\n")) == (name, 3, 1), said
        assert words in said, (name, said)
        assert "geheim" not in said


def _create_topic(env: dict[str, str], folder: Path) -> tuple[int, str]:
    result = run(["topics", "create"], env={**clean_env(), **env}, cwd=folder)
    return result.returncode, result.stderr
