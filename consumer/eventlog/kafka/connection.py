"""How to reach the cluster: plain values in, aiokafka's arguments out."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from aiokafka.errors import KafkaConnectionError, KafkaError

from consumer.errors import LogUnavailableError, SettingsError
from consumer.eventlog.kafka.reachability import why_unreachable

SecurityProtocol: TypeAlias = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism: TypeAlias = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaConnection:
    """A topic of a cluster, and how to authenticate there. The password stays out of ``repr``."""

    bootstrap_servers: tuple[str, ...]
    """``host:port`` each."""
    topic: str
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: SaslMechanism = "SCRAM-SHA-512"
    """Counts with the SASL protocols only."""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: Path | None = None
    """PEM file with the authorities that sign the brokers' certificates; None: the system's."""
    certificate: Path | None = None
    """PEM file with our own certificate, when the brokers ask for one."""
    key: Path | None = None
    client_id: str = "binmirror"

    @property
    def address(self) -> str:
        """For people: without credentials."""
        return f"kafka://{','.join(self.bootstrap_servers)}/{self.topic}"

    def client_arguments(self) -> dict[str, Any]:
        """What every aiokafka client takes.

        Raises:
            SettingsError: a certificate, key or authority cannot be read.

        """
        arguments: dict[str, Any] = {
            "bootstrap_servers": list(self.bootstrap_servers),
            "client_id": self.client_id,
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol.startswith("SASL"):
            arguments |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.user,
                "sasl_plain_password": self.password,
            }
        if self.security_protocol.endswith("SSL"):
            arguments["ssl_context"] = self._ssl_context()
        return arguments

    def _ssl_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"KAFKA_CA: {self.ca} holds no certificates in PEM form ({error})") from error
        if self.certificate is not None:
            try:
                context.load_cert_chain(self.certificate, self.key)
            except (OSError, ssl.SSLError) as error:
                raise SettingsError(
                    f"KAFKA_CERTIFICATE, KAFKA_KEY: {self.certificate} and {self.key} are no certificate in "
                    f"PEM form with its unencrypted key ({error})"
                ) from error
        return context

    async def unreachable(self, doing: str, error: BaseException) -> LogUnavailableError:
        """As ``unavailable``; where no broker could be connected to, it looks why."""
        if not isinstance(error, KafkaConnectionError):
            return self.unavailable(doing, error)
        context = self._ssl_context() if self.security_protocol.endswith("SSL") else None
        reason = await why_unreachable(self.bootstrap_servers, context)
        return LogUnavailableError(f"{self.address}: {doing}: {reason}")

    def unavailable(self, doing: str, error: BaseException) -> LogUnavailableError:
        """What to raise when ``doing`` failed with ``error``."""
        if isinstance(error, TimeoutError):
            reason = "no answer in time"
        elif isinstance(error, KafkaError):
            reason = f"{type(error).__name__}: {error}"
        else:
            reason = repr(error)
        return LogUnavailableError(f"{self.address}: {doing}: {reason}")
