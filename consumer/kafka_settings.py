"""The settings about Kafka: the cluster, the log's topic, and the topic of entries."""

from typing import Literal

from pydantic import BaseModel, Field, FilePath, SecretStr

from consumer.setting_types import EntriesTopic


class KafkaFields(BaseModel):
    """They count for every topic, the log's and that of entries."""

    entries_topic: EntriesTopic | None = Field(None, examples=["kafka://kafka-1:9092/binmirror-entries"])
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", examples=["SASL_SSL"]
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", examples=["SCRAM-SHA-512"]
    )
    kafka_user: str | None = Field(None, examples=["binmirror"])
    kafka_password: SecretStr | None = Field(None, examples=["the password of KAFKA_USER"])
    kafka_ca: FilePath | None = Field(None, examples=["/etc/binmirror/kafka-ca.pem"])
    kafka_certificate: FilePath | None = Field(None, examples=["/etc/binmirror/client.pem"])
    kafka_key: FilePath | None = Field(None, examples=["/etc/binmirror/client.key"])
    kafka_group: str = Field("binmirror", pattern=r"^[A-Za-z0-9._-]{1,200}$", examples=["binmirror"])
    kafka_create_topic: bool = Field(default=False, examples=["true"])
    kafka_partitions: int = Field(6, ge=1, le=10_000, examples=[6])
    kafka_replication_factor: int = Field(3, ge=1, le=100, examples=[3])
    kafka_allow_single_replica: bool = Field(default=False, examples=["true"])
