"""Settings: environment (``BINMIRROR_…``), then ``.env``, then the TOML file.

The only place that reads the environment.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as PydanticSettingsError

from consumer.addresses import KafkaAddress, SqliteAddress
from consumer.errors import SettingsError
from consumer.kafka_settings import KafkaFields
from consumer.setting_types import (
    EventLog,
    Identifier,
    Patterns,
    Projection,
    PublicUrl,
    Secrets,
    Token,
    VoucherifyUrl,
)
from consumer.types import DEFAULT_PROJECT, Project, Role, VoucherifyAccess

PREFIX: Final = "BINMIRROR_"
MEBIBYTE: Final = 1024 * 1024
_PROJECT_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class ProjectFields(BaseModel):
    """What each Voucherify project has of its own."""

    webhook_secrets: Secrets | None = Field(
        None, examples=["the secret shown in Voucherify's project settings"]
    )
    api_app_id: Identifier | None = Field(None, examples=["5fd2c0a7-2c0e-4d4c-9f0e-6f3d0b8f6a11"])
    api_app_token: Token | None = Field(None, examples=["0a7f… (`binmirror init` makes one)"])
    voucherify_project_id: Identifier | None = Field(None, examples=["proj_PC2jOMWZ"])
    event_types: Patterns = Field(("voucher.*", "campaign.*"), examples=['["voucher.*", "campaign.*"]'])
    voucherify_url: VoucherifyUrl | None = Field(None, examples=["us1.api"])
    voucherify_app_id: Identifier | None = Field(None, examples=["the application id of an API key there"])
    voucherify_app_token: Token | None = Field(None, examples=["the secret key of that API key"])
    case_sensitive_codes: bool = Field(default=True, examples=["false"])


class ProjectSettings(ProjectFields):
    """A table ``[projects.NAME]``."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Settings(BaseSettings, ProjectFields, KafkaFields):
    """Everything that can be set. ``docs/settings.md`` explains each; a test keeps the two together."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="forbid",
        dotenv_filtering="match_prefix",
        hide_input_in_errors=True,
    )

    event_log: EventLog = Field(
        SqliteAddress(Path("data/log.db")), examples=["kafka://kafka-1:9092/binmirror"]
    )
    projection: Projection = Field(
        SqliteAddress(Path("data/bin.db")), examples=["postgresql://binmirror:PASSWORD@db:5432/binmirror"]
    )
    substring_index: Literal["off", "names", "all"] = Field("off", examples=["names"])
    spool: Path = Field(Path("data/spool.db"), examples=["/var/lib/binmirror/spool.db"])
    host: str = Field("127.0.0.1", min_length=1, examples=["127.0.0.1"])
    port: int = Field(8080, ge=0, le=65_535, examples=[8080])
    public_url: PublicUrl | None = Field(None, examples=["https://hooks.example.com"])
    deletes: Literal["refuse", "forward", "local"] = Field("refuse", examples=["forward"])
    publish_deadline: float = Field(3.0, gt=0, lt=8, allow_inf_nan=False, examples=[3])
    max_body_bytes: int = Field(MEBIBYTE, ge=1024, le=64 * MEBIBYTE, examples=[MEBIBYTE])
    body_timeout: float = Field(5.0, gt=0, lt=10, allow_inf_nan=False, examples=[5])
    shutdown_deadline: float = Field(10.0, gt=0, le=600, allow_inf_nan=False, examples=[10])
    streams_max: int = Field(1000, ge=0, le=100_000, examples=[1000])
    stream_heartbeat: float = Field(15.0, ge=0.1, le=3600, allow_inf_nan=False, examples=[15])
    stream_write_timeout: float = Field(30.0, ge=0.1, le=3600, allow_inf_nan=False, examples=[30])
    fresh_wait: float = Field(2.0, ge=0, le=60, allow_inf_nan=False, examples=[2])
    worker_batch_size: int = Field(2000, ge=1, le=10_000, examples=[2000])
    reconcile_every: float = Field(300.0, ge=0, le=86_400, allow_inf_nan=False, examples=[300])
    reconcile_full_every: float = Field(86_400.0, ge=0, le=2_592_000, allow_inf_nan=False, examples=[86400])
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", examples=["info"])
    log_format: Literal["auto", "json", "console"] = Field("auto", examples=["json"])
    projects: dict[str, ProjectSettings] = Field(
        default_factory=dict, examples=["[projects.shop-eu] in TOML"]
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The first source that names a setting wins; the TOML file comes in as ``init_settings``."""
        del settings_cls, file_secret_settings
        return env_settings, dotenv_settings, init_settings

    def resolved_projects(self) -> Mapping[str, Project]:
        """The projects by name; without a projects table one named ``default``."""
        tables: Mapping[str, ProjectFields] = self.projects or {DEFAULT_PROJECT: self}
        return {name: _project(name, fields) for name, fields in tables.items()}

    def require(self, roles: Iterable[Role]) -> None:
        """Raise SettingsError for what these roles need and is not set."""
        tables: Mapping[str, ProjectFields] = self.projects or {"": self}
        for name, fields in tables.items():
            if "receiver" in roles and not fields.webhook_secrets:
                raise _error(_label(name, "webhook_secrets"), "is missing; the receiver needs it")
            for needed in ("api_app_id", "api_app_token"):
                if "api" in roles and getattr(fields, needed) is None:
                    raise _error(_label(name, needed), "is missing; the API needs it")
            if "api" in roles and self.deletes == "forward" and fields.voucherify_url is None:
                raise _error(_label(name, "voucherify_url"), "is missing; DELETES=forward needs it")


class _Isolated(Settings):
    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The values given, and nothing else."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


def load_settings(config: Path | None = None, *, env_file: Path = Path(".env")) -> Settings:
    """Read all three sources. Raises SettingsError: one line, with the first thing that is wrong."""
    values = _read_toml(config) if config is not None else {}
    try:
        settings = Settings(_env_file=env_file, _env_file_encoding="utf-8", **values)
    except ValidationError as error:
        raise _explain(error) from None
    except PydanticSettingsError:
        raise SettingsError(
            f"PROJECTS: is not a JSON object; for example {PREFIX}PROJECTS="
            '{"shop-eu": {"webhook_secrets": ["…"]}}, or better the tables [projects.NAME] of a TOML file'
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{env_file} cannot be read: {error}") from None
    _cross_check(settings)
    return settings


def isolated_settings(**values: object) -> Settings:
    """Settings made of ``values`` alone, whatever the environment says."""
    return _Isolated(**values)  # type: ignore[arg-type]  # checked by pydantic, as from any other source


def unknown_variables() -> Sequence[str]:
    """Variables of the environment that look like settings and are none: worth a warning.

    No error: Kubernetes puts ``BINMIRROR_SERVICE_HOST`` and the like beside a service of that name.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise SettingsError(f"--config {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"--config {path} is not TOML: {error}") from None


def _cross_check(settings: Settings) -> None:
    if settings.projects:
        for name in ProjectFields.model_fields:
            if name in settings.model_fields_set:
                raise _error(name.upper(), "is set, but so is a projects table; move it into [projects.NAME]")
    seen: dict[str, str] = {}
    for name, project in settings.projects.items():
        if not _PROJECT_NAME.fullmatch(name):
            raise SettingsError(
                f"projects: {name!r} is no project name; letters, digits, '-' and '_' make one, "
                "for example [projects.shop-eu]"
            )
        other = seen.setdefault(project.api_app_id or f"\0{name}", name)
        if other != name:
            raise _error(f"projects.{name}.api_app_id", f"is also that of projects.{other}")
    tables: Mapping[str, ProjectFields] = settings.projects or {"": settings}
    for name, fields in tables.items():
        _check_voucherify(name, fields)
    log, projection = settings.event_log, settings.projection
    if isinstance(log, KafkaAddress) or settings.entries_topic is not None:
        _check_kafka(settings)
    if (
        isinstance(log, SqliteAddress)
        and isinstance(projection, SqliteAddress)
        and log.path.absolute() == projection.path.absolute()
    ):
        raise _error("PROJECTION", "is the file of EVENT_LOG; each needs one of its own")


def _check_voucherify(project: str, fields: ProjectFields) -> None:
    names = ("voucherify_url", "voucherify_app_id", "voucherify_app_token")
    missing = [name for name in names if getattr(fields, name) is None]
    if 0 < len(missing) < len(names):
        raise _error(_label(project, missing[0]), "is missing; the three of Voucherify's API come together")


def _check_kafka(settings: Settings) -> None:
    if settings.kafka_security_protocol.startswith("SASL"):
        for name in ("kafka_user", "kafka_password"):
            if getattr(settings, name) is None:
                raise _error(name.upper(), f"is missing; {settings.kafka_security_protocol} needs it")
    if (settings.kafka_certificate is None) != (settings.kafka_key is None):
        missing = "KAFKA_KEY" if settings.kafka_key is None else "KAFKA_CERTIFICATE"
        raise _error(missing, "is missing; certificate and key come together")
    if settings.kafka_replication_factor == 1 and not settings.kafka_allow_single_replica:
        raise SettingsError(
            "KAFKA_REPLICATION_FACTOR: 1 loses what was acknowledged when a broker's disk dies; "
            "for a trial say BINMIRROR_KAFKA_ALLOW_SINGLE_REPLICA=true"
        )
    log, entries = settings.event_log, settings.entries_topic
    if isinstance(log, KafkaAddress) and entries is not None and entries.topic == log.topic:
        raise _error("ENTRIES_TOPIC", "is the topic of EVENT_LOG; it needs one of its own")


def _project(name: str, fields: ProjectFields) -> Project:
    token = fields.api_app_token
    return Project(
        name=name,
        webhook_secrets=tuple(secret.get_secret_value().encode() for secret in fields.webhook_secrets or ()),
        api_app_id=fields.api_app_id,
        api_app_token=None if token is None else token.get_secret_value().encode(),
        voucherify_project_id=fields.voucherify_project_id,
        event_types=fields.event_types,
        voucherify=_voucherify(fields),
        case_sensitive_codes=fields.case_sensitive_codes,
    )


def _voucherify(fields: ProjectFields) -> VoucherifyAccess | None:
    url, app_id, token = fields.voucherify_url, fields.voucherify_app_id, fields.voucherify_app_token
    if url is None or app_id is None or token is None:
        return None
    return VoucherifyAccess(url, app_id, token.get_secret_value())


def _explain(error: ValidationError) -> SettingsError:
    """The first problem in one line, without the value: it may be a secret, or hold one."""
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    location = [str(part) for part in problem["loc"]]
    of_project = location[0] == "projects" and len(location) >= len(("projects", "NAME", "setting"))
    name = location[2] if of_project else location[0]
    fields = ProjectFields.model_fields if of_project else Settings.model_fields
    label = ".".join(location[:3]) if len(location) > 1 and location[0] == "projects" else name.upper()
    if problem["type"] == "extra_forbidden":
        close = get_close_matches(name.lower(), fields, n=1)
        hint = (
            f"; did you mean {close[0] if location[0] == 'projects' else close[0].upper()}?" if close else ""
        )
        return SettingsError(f"{label}: there is no such setting{hint} (see docs/settings.md)")
    return _error(label, problem["msg"].removeprefix("Value error, "))


def _label(project: str, name: str) -> str:
    return f"projects.{project}.{name}" if project else name.upper()


def _error(label: str, wrong: str) -> SettingsError:
    name = label.rpartition(".")[2].lower()
    example = str((Settings.model_fields[name].examples or [""])[0])
    if "." in label:
        return SettingsError(f"{label}: {wrong}; for example {name} = {_toml(example)}")
    return SettingsError(f"{label}: {wrong}; for example {PREFIX}{label}={example}")


def _toml(example: str) -> str:
    return example if example.startswith("[") else json.dumps(example, ensure_ascii=False)


def clean_environment(added: Mapping[str, str]) -> dict[str, str]:
    """The environment for a process of ours: none of the settings that this one has, but ``added``."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return {**inherited, **{PREFIX + name: value for name, value in added.items()}}
