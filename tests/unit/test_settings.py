import json
from collections.abc import Callable
from pathlib import Path

import pytest

from consumer.addresses import KafkaAddress, PostgresAddress, SqliteAddress
from consumer.errors import SettingsError
from consumer.settings import Settings, load_settings, unknown_variables

Load = Callable[..., Settings]

SECRET = "hunter2-hunter2"
COMPLETE = {"WEBHOOK_SECRETS": SECRET, "API_APP_ID": "app", "API_APP_TOKEN": "token-of-the-app"}


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Load:
    """Loads settings from an environment, a .env and a TOML file that hold nothing else."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"BINMIRROR_{name.upper()}", raising=False)

    def loader(env: dict[str, str] | None = None, *, dotenv: str = "", toml: str | None = None) -> Settings:
        for name, value in (env or {}).items():
            monkeypatch.setenv(f"BINMIRROR_{name}", value)
        (tmp_path / ".env").write_text(dotenv)
        config = None
        if toml is not None:
            config = tmp_path / "binmirror.toml"
            config.write_text(toml)
        return load_settings(config, env_file=tmp_path / ".env")

    return loader


def test_defaults_need_no_setting(load: Load) -> None:
    """Without any setting there is a SQLite log and projection on this machine."""
    settings = load()
    assert settings.event_log == SqliteAddress(Path("data/log.db"))
    assert settings.projection == SqliteAddress(Path("data/bin.db"))
    assert (settings.host, settings.port, settings.public_url) == ("127.0.0.1", 8080, None)
    assert settings.publish_deadline == 3
    assert settings.max_body_bytes == 1024 * 1024
    assert settings.event_types == ("voucher.*", "campaign.*")


def test_environment_beats_dotenv_beats_toml(load: Load) -> None:
    """Of three sources that name a setting the environment wins, then .env, then the TOML file."""
    settings = load(
        {"PORT": "1"},
        dotenv="BINMIRROR_PORT=2\nBINMIRROR_HOST=dotenv\nCOMPOSE_PROJECT_NAME=not-ours\n",
        toml='port = 3\nhost = "toml"\npublic_url = "https://toml.example"',
    )
    assert (settings.port, settings.host, settings.public_url) == (1, "dotenv", "https://toml.example")


def test_empty_variable_counts_as_unset(load: Load) -> None:
    """Compose files pass variables on that are empty when nobody set them."""
    assert load({"PUBLIC_URL": "", "API_APP_ID": ""}).api_app_id is None


def test_one_project_named_default(load: Load) -> None:
    """Without a projects table the settings describe one project."""
    (project,) = load({**COMPLETE, "VOUCHERIFY_PROJECT_ID": "proj_1"}).resolved_projects().values()
    assert project.name == "default"
    assert project.webhook_secrets == (SECRET.encode(),)
    assert (project.api_app_id, project.api_app_token) == ("app", b"token-of-the-app")
    assert project.voucherify_project_id == "proj_1"


def test_projects_table(load: Load) -> None:
    """Each table of the TOML file is a project of its own."""
    settings = load(
        toml="""
        [projects.shop-eu]
        webhook_secrets = ["new", "old"]
        api_app_id = "eu"
        api_app_token = "eu-token"
        event_types = ["voucher.deleted"]
        [projects.shop_us]
        webhook_secrets = "one"
        api_app_id = "us"
        api_app_token = "us-token"
        """
    )
    settings.require(["receiver", "api", "worker"])
    projects = settings.resolved_projects()
    assert list(projects) == ["shop-eu", "shop_us"]
    assert projects["shop-eu"].webhook_secrets == (b"new", b"old")
    assert projects["shop-eu"].event_types == ("voucher.deleted",)
    assert projects["shop_us"].webhook_secrets == (b"one",)


@pytest.mark.parametrize("written", ['["new", "old"]', ' ["new","old"]'])
def test_secrets_as_json_list(load: Load, written: str) -> None:
    """While a secret is being rotated, several are live."""
    (project,) = load({"WEBHOOK_SECRETS": written}).resolved_projects().values()
    assert project.webhook_secrets == (b"new", b"old")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("sqlite:///relative/log.db", SqliteAddress(Path("relative/log.db"))),
        ("sqlite:////var/lib/log.db", SqliteAddress(Path("/var/lib/log.db"))),
        ("kafka://a:9092/topic", KafkaAddress(("a:9092",), "topic")),
        ("kafka://a:1,[::1]:2,c.d:3/t.o-p_ic", KafkaAddress(("a:1", "[::1]:2", "c.d:3"), "t.o-p_ic")),
    ],
)
def test_event_log_addresses(load: Load, written: str, expected: object) -> None:
    """A file or a topic."""
    assert load({"EVENT_LOG": written}).event_log == expected


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("postgresql://me:pw@db:5432/bin", "postgresql://db:5432/bin"),
        ("postgres://me:p%40w@a:1,b:2/bin?sslmode=require", "postgresql://a:1,b:2/bin"),
        ("postgresql:///bin?host=/run/postgresql", "postgresql:///bin?host=/run/postgresql"),
        ("postgresql://me@/bin?host=/tmp/s&user=u", "postgresql:///bin?host=/tmp/s"),
        ("postgresql://me:pw@%2Frun%2Fpostgresql/bin", "postgresql://%2Frun%2Fpostgresql/bin"),
    ],
)
def test_postgresql_addresses(load: Load, written: str, shown: str) -> None:
    """By host or by Unix socket; what is shown has no credentials."""
    address = load({"PROJECTION": written}).projection
    assert isinstance(address, PostgresAddress)
    assert address.url.get_secret_value() == written.replace("postgres://", "postgresql://")
    assert str(address) == shown
    assert "pw" not in repr(address)


WRONG = [
    ("EVENT_LOG", "sqlite:log.db", "three slashes"),
    ("EVENT_LOG", "sqlite:///", "names no file"),
    ("EVENT_LOG", "sqlite:///:memory:", "names no file"),
    ("EVENT_LOG", "sqlite:///a.db?mode=ro", "no parameters"),
    ("EVENT_LOG", "amqp://x", "neither"),
    ("EVENT_LOG", "kafka://a:9092", "no topic"),
    ("EVENT_LOG", "kafka://a/t", "without a port"),
    ("EVENT_LOG", "kafka://a:99999/t", "a port that"),
    ("EVENT_LOG", "kafka://a:1/t t", "a topic that"),
    ("EVENT_LOG", "kafka://a:1,/t", "not host:port"),
    ("EVENT_LOG", f"kafka://u:{SECRET}@a:1/t", "must not hold credentials"),
    ("PROJECTION", "mysql://x/y", "neither"),
    ("PROJECTION", f"postgresql://u:{SECRET}@db", "names no database"),
    ("PROJECTION", f"postgresql://u:{SECRET}#x@db/b", "percent-encoded"),
    ("PROJECTION", f"postgresql://u:{SECRET}@db/b?x", "name=value"),
    ("PROJECTION", "postgresql:///b?host=/" + "x" * 100, "too long"),
    ("WEBHOOK_SECRETS", f'["{SECRET}"', "JSON list"),
    ("WEBHOOK_SECRETS", f'["{SECRET}", 1]', "list of strings"),
    ("WEBHOOK_SECRETS", f"{SECRET}\n", "white space"),
    ("WEBHOOK_SECRETS", "[]", "empty list"),
    ("API_APP_TOKEN", f"{SECRET}é", "HTTP header"),
    ("EVENT_TYPES", "voucher.*", "JSON list"),
    ("EVENT_TYPES", "[]", "list of patterns"),
    ("EVENT_TYPES", '["a b"]', "pattern"),
    ("PUBLISH_DEADLINE", "8", "less than 8"),
    ("PUBLISH_DEADLINE", "nan", "finite"),
    ("PUBLISH_DEADLINE", "soon", "number"),
    ("MAX_BODY_BYTES", "10", "1024"),
    ("PORT", "tcp://10.0.0.1:80", "integer"),
    ("PORT", "65536", "65535"),
    ("PUBLIC_URL", "hooks.example.com", "https://"),
    ("PUBLIC_URL", f"https://me:{SECRET}@hooks.example.com", "must not hold credentials"),
    ("LOG_LEVEL", "loud", "'debug'"),
    ("KAFKA_CA", "/nowhere/ca.pem", "file"),
    ("KAFKA_SECURITY_PROTOCOL", "TLS", "'SASL_SSL'"),
    ("PROJECTS", "{", "JSON object"),
    ("VOUCHERIFY_URL", "eu1", "neither a cluster"),
    ("VOUCHERIFY_URL", f"https://me:{SECRET}@us1.api.voucherify.io", "must not hold credentials"),
    ("VOUCHERIFY_APP_TOKEN", f"{SECRET}\n", "HTTP header"),
    ("RECONCILE_EVERY", "-1", "greater than or equal to 0"),
]


@pytest.mark.parametrize(("name", "value", "reason"), WRONG)
def test_wrong_setting(load: Load, name: str, value: str, reason: str) -> None:
    """One line that names the setting, what is wrong and an example, and never repeats a secret."""
    with pytest.raises(SettingsError) as caught:
        load({name: value})
    message = str(caught.value)
    assert message.startswith(f"{name}: ")
    assert reason in message
    assert f"for example BINMIRROR_{name}=" in message
    assert "\n" not in message
    assert SECRET not in message


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("webhook_secret = 'x'", "WEBHOOK_SECRET: there is no such setting; did you mean WEBHOOK_SECRETS?"),
        ("[projects.a]\nsecrets = 'x'", "projects.a.secrets: there is no such setting"),
        ("[projects.a]\nport = 1", "projects.a.port: there is no such setting"),
        ("[projects.'a.b']", "projects: 'a.b' is no project name"),
        ("[projects.a]\nevent_types = 'x'", "projects.a.event_types: is not a JSON list"),
        ("projects = 1", "PROJECTS: Input should be a valid dictionary"),
        ("port = ", "is not TOML"),
        (
            "port = 1\nwebhook_secrets = 'x'\n[projects.a]",
            "WEBHOOK_SECRETS: is set, but so is a projects table",
        ),
        (
            "[projects.a]\napi_app_id = 'x'\n[projects.b]\napi_app_id = 'x'",
            "projects.b.api_app_id: is also that of projects.a",
        ),
    ],
)
def test_wrong_toml(load: Load, toml: str, message: str) -> None:
    """Mistakes in the TOML file are named by table and key."""
    with pytest.raises(SettingsError) as caught:
        load(toml=toml)
    assert message in str(caught.value)


def test_unknown_setting_in_dotenv(load: Load) -> None:
    """A misspelled setting in .env is an error; names of others are none of ours."""
    with pytest.raises(SettingsError, match="EVENTLOG: there is no such setting; did you mean EVENT_LOG"):
        load(dotenv="BINMIRROR_EVENTLOG=x")


def test_unreadable_files(load: Load, tmp_path: Path) -> None:
    """A missing TOML file and a .env that is not text are said in one line."""
    load()
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(tmp_path / "missing.toml", env_file=tmp_path / ".env")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(env_file=tmp_path / "binary")


@pytest.mark.parametrize(
    ("roles", "missing"),
    [(["receiver"], "WEBHOOK_SECRETS"), (["api"], "API_APP_ID"), (["worker", "api"], "API_APP_ID")],
)
def test_what_roles_need(load: Load, roles: list[str], missing: str) -> None:
    """The receiver needs secrets, the API credentials, the worker neither."""
    settings = load()
    settings.require(["worker"])
    with pytest.raises(SettingsError, match=f"{missing}: is missing"):
        settings.require(roles)  # type: ignore[arg-type]  # plain strings in the parameters
    load(COMPLETE).require(["receiver", "worker", "api"])


def test_missing_in_one_project(load: Load) -> None:
    """The project that lacks something is named."""
    settings = load(toml="[projects.a]\nwebhook_secrets = 'x'\n[projects.b]")
    with pytest.raises(
        SettingsError, match=r"projects\.b\.webhook_secrets: is missing.*webhook_secrets = \""
    ):
        settings.require(["receiver"])


KAFKA = {"EVENT_LOG": "kafka://a:1/t"}


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "KAFKA_USER: is missing"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_USER": "u"}, "KAFKA_PASSWORD: is missing"),
        ({"KAFKA_KEY": __file__}, "KAFKA_CERTIFICATE: is missing"),
        ({"KAFKA_REPLICATION_FACTOR": "1"}, "KAFKA_REPLICATION_FACTOR: 1 loses"),
    ],
)
def test_kafka_settings_that_go_together(load: Load, env: dict[str, str], message: str) -> None:
    """Half a configuration is refused before anything connects; beside SQLite it does not matter."""
    load(env)
    with pytest.raises(SettingsError, match=message):
        load({**KAFKA, **env})


def test_log_and_projection_in_one_file(load: Load) -> None:
    """Two databases in one file would take each other's tables for their own: refused."""
    with pytest.raises(SettingsError, match="PROJECTION: is the file of EVENT_LOG"):
        load({"EVENT_LOG": "sqlite:///data/log.db", "PROJECTION": "sqlite:///data/log.db"})


def test_secrets_stay_out_of_repr(load: Load) -> None:
    """Neither the settings nor the projects made of them show a secret."""
    settings = load(
        {
            "WEBHOOK_SECRETS": json.dumps([SECRET]),
            "API_APP_TOKEN": SECRET,
            "KAFKA_PASSWORD": SECRET,
            "PROJECTION": f"postgresql://u:{SECRET}@db/b",
        }
    )
    shown = f"{settings!r} {settings} {settings.resolved_projects()!r} {settings.model_dump()}"
    assert SECRET not in shown


def test_variables_that_look_like_settings(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable with our prefix that is no setting does not stop the process, but can be warned of."""
    monkeypatch.setenv("BINMIRROR_SERVICE_HOST", "10.0.0.1")
    load()
    assert "BINMIRROR_SERVICE_HOST" in unknown_variables()
    assert "BINMIRROR_PORT" not in unknown_variables()
