"""How single settings are written: each type parses and checks one form. Messages never repeat the value."""

import json
import re
from typing import Annotated, Final, TypeAlias

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from consumer.addresses import (
    EventLogAddress,
    KafkaAddress,
    ProjectionAddress,
    parse_entries_topic,
    parse_event_log,
    parse_projection,
    parse_public_url,
    parse_voucherify,
)

_PATTERN: Final = re.compile(r"[A-Za-z0-9_.*?\[\]!-]{1,200}")


def check_secret(secret: str) -> None:
    """Raises ValueError for a secret that cannot be meant."""
    if not secret or secret != secret.strip():
        raise ValueError("is empty, or starts or ends with white space")


def _secrets(value: object) -> object:
    """A plain string is one secret; a text that starts like a JSON list is a JSON list."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = _json_list(value)
    secrets = [value] if isinstance(value, str) else value
    if not isinstance(secrets, list) or not all(isinstance(secret, str) for secret in secrets):
        raise ValueError("is neither a string nor a list of strings")
    if not secrets:
        raise ValueError("is an empty list")
    for secret in secrets:
        check_secret(secret)
    return secrets


def _patterns(value: object) -> object:
    patterns = _json_list(value) if isinstance(value, str) else value
    if not isinstance(patterns, list | tuple) or not patterns:
        raise ValueError("is not a list of patterns")
    for pattern in patterns:
        if not isinstance(pattern, str) or not _PATTERN.fullmatch(pattern):
            raise ValueError("holds something that is not a pattern of event names")
    return patterns


def _json_list(text: str) -> list[object]:
    try:
        value = json.loads(text)
    except ValueError:
        raise ValueError("is not a JSON list") from None
    if not isinstance(value, list):
        raise ValueError("is not a JSON list")  # noqa: TRY004 - pydantic turns ValueError into its own
    return value


def _credential(value: object) -> object:
    if isinstance(value, str) and (not value.isascii() or not value.isprintable() or value != value.strip()):
        raise ValueError("holds something that an HTTP header cannot carry")
    return value


def _parsed_event_log(value: object) -> object:
    return parse_event_log(value) if isinstance(value, str) else value


def _parsed_entries_topic(value: object) -> object:
    return parse_entries_topic(value) if isinstance(value, str) else value


def _parsed_projection(value: object) -> object:
    return parse_projection(value) if isinstance(value, str) else value


def _voucherify(value: object) -> object:
    if isinstance(value, str):
        parse_voucherify(value)
    return value


def _public_url(value: object) -> object:
    return parse_public_url(value) if isinstance(value, str) else value


Secrets: TypeAlias = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_secrets)]
Patterns: TypeAlias = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_patterns)]
Identifier: TypeAlias = Annotated[str, Field(min_length=1, max_length=200), BeforeValidator(_credential)]
Token: TypeAlias = Annotated[SecretStr, Field(min_length=1, max_length=500), BeforeValidator(_credential)]
EventLog: TypeAlias = Annotated[EventLogAddress, NoDecode, BeforeValidator(_parsed_event_log)]
EntriesTopic: TypeAlias = Annotated[KafkaAddress, NoDecode, BeforeValidator(_parsed_entries_topic)]
Projection: TypeAlias = Annotated[ProjectionAddress, NoDecode, BeforeValidator(_parsed_projection)]
PublicUrl: TypeAlias = Annotated[str, BeforeValidator(_public_url)]
VoucherifyUrl: TypeAlias = Annotated[str, BeforeValidator(_voucherify)]
