import pytest

from consumer.addresses import KafkaAddress
from consumer.errors import SettingsError
from tests.unit.test_settings import Load, load

__all__ = ["load"]


def test_a_topic_beside_either_log(load: Load) -> None:
    """The topic of entries is a Kafka address, whatever the log is."""
    assert load().entries_topic is None
    assert load({"ENTRIES_TOPIC": "kafka://a:1/bin"}).entries_topic == KafkaAddress(("a:1",), "bin")
    assert load({"EVENT_LOG": "kafka://a:1/log", "ENTRIES_TOPIC": "kafka://b:2/bin"}).entries_topic


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"ENTRIES_TOPIC": "sqlite:///bin.db"}, "ENTRIES_TOPIC: is no kafka:// address"),
        ({"ENTRIES_TOPIC": "kafka://a:1"}, "ENTRIES_TOPIC: names no topic"),
        ({"ENTRIES_TOPIC": "kafka://u:p@a:1/t"}, "ENTRIES_TOPIC: must not hold credentials"),
        (
            {"EVENT_LOG": "kafka://a:1/t", "ENTRIES_TOPIC": "kafka://a:1,b:1/t"},
            "ENTRIES_TOPIC: is the topic of EVENT_LOG",
        ),
        (
            {"ENTRIES_TOPIC": "kafka://a:1/t", "KAFKA_SECURITY_PROTOCOL": "SASL_SSL"},
            "KAFKA_USER: is missing; SASL_SSL needs it",
        ),
        (
            {"ENTRIES_TOPIC": "kafka://a:1/t", "KAFKA_REPLICATION_FACTOR": "1"},
            "KAFKA_REPLICATION_FACTOR: 1 loses",
        ),
    ],
)
def test_wrong_topics_of_entries(load: Load, env: dict[str, str], message: str) -> None:
    """One line names the setting and what is wrong; Kafka's settings count beside a log in SQLite too."""
    with pytest.raises(SettingsError, match=message) as caught:
        load(env)
    assert "\n" not in str(caught.value)
