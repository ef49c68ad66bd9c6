"""The rules of the house: layering, sizes, and documents that tell of what there is."""

import ast
import asyncio
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest
from prometheus_client import CollectorRegistry

from consumer.log import ACTIONS
from consumer.metrics import Metrics
from consumer.settings import ProjectFields, Settings
from tests.unit.access_cases import CASES
from tests.unit.access_kit import protected_routes

ROOT = Path(__file__).parent.parent
PACKAGES = ("schemas", "handlers", "consumer")
SOURCES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MIGRATIONS = ROOT / "consumer" / "projection" / "migrations"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")])
MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 50
DECLARATIONS = {"consumer/metrics.py"}
"""Where a long function is a list of declarations and nothing else."""
LOG_LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), named(path))


def functions(module: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_layers() -> None:
    """Imports run one way, and drivers and the environment are touched where they may be."""
    lint = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_import_cycles() -> None:
    """No module imports itself by way of others."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=named)
def test_modules_are_small(path: Path) -> None:
    """A module has at most 300 lines, a function at most 50."""
    assert len(path.read_text().splitlines()) <= MAX_MODULE_LINES
    if MIGRATIONS in path.parents or named(path) in DECLARATIONS:
        return
    long = {
        node.name: lines
        for node in functions(tree(path))
        if (lines := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION_LINES
    }
    assert not long


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_imports_stand_at_the_top(path: Path) -> None:
    """Nothing is imported lazily, inside a function."""
    lazy = [
        node.lineno
        for function in functions(tree(path))
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert not lazy


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name != "settings.py"], ids=named)
def test_environment_is_read_in_settings_only(path: Path) -> None:
    """``os.environ`` and its kin appear in consumer/settings.py alone."""
    found = [
        node.lineno
        for node in ast.walk(tree(path))
        if (isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv", "putenv"})
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and "environ" in ast.dump(node))
    ]
    assert not found


def test_init_files_are_empty_and_present() -> None:
    """Every folder with code is a package, whose __init__ does nothing."""
    folders = {path.parent for path in SOURCES} - {MIGRATIONS, MIGRATIONS / "versions"}
    for folder in folders:
        assert (folder / "__init__.py").read_text() == "", folder


def suppressions(path: Path) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.COMMENT and re.search(r"noqa|type:\s*ignore", token.string):
            yield token.start[0], token.string


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=named)
def test_suppressions_say_why(path: Path) -> None:
    """A silenced rule is named, and the reason stands beside it."""
    reason = re.compile(r"(noqa: [A-Z0-9, ]+ - .{8,}|type: ignore\[[a-z-]+(, ?[a-z-]+)*\]\s+# .{8,})")
    assert not [line for line, comment in suppressions(path) if not reason.search(comment)]


@pytest.mark.parametrize("path", TESTS, ids=named)
def test_tests_say_what_they_show(path: Path) -> None:
    """Every test has a docstring: the behaviour in one sentence."""
    bare = [
        node.name
        for node in functions(tree(path))
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert not bare


def logged_actions() -> dict[str, str]:
    """The first argument of every call on a logger → where."""
    found = {}
    for path in SOURCES:
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            logger = ast.unparse(node.func.value)
            if node.func.attr not in LOG_LEVELS or not re.search(r"log(ger)?(\(\))?$", logger):
                continue
            first = node.args[0] if node.args else None
            action = first.value if isinstance(first, ast.Constant) else f"not a constant, line {node.lineno}"
            found[str(action)] = named(path)
    return found


def test_log_actions_are_a_closed_set() -> None:
    """What the code logs is exactly what is declared."""
    logged = logged_actions()
    unknown = {action: path for action, path in logged.items() if action not in ACTIONS}
    assert not unknown
    assert not set(ACTIONS) - set(logged) - {"library", "log_lines_dropped"}


def metric_names(registry: CollectorRegistry) -> set[str]:
    return {
        family.name + ("_total" if family.type == "counter" else "")
        for family in registry.collect()
        if family.name.startswith("binmirror_")
    }


def test_documents_tell_of_every_setting_metric_and_action() -> None:
    """docs/settings.md, docs/metrics.md and docs/logging.md have a line for each, and for nothing else."""
    rows = re.compile(r"^\| `([^`]+)`", re.MULTILINE)

    def documented(name: str) -> set[str]:
        return set(rows.findall((ROOT / "docs" / name).read_text()))

    settings = {name.upper() for name in Settings.model_fields} - {"PROJECTS"}
    assert documented("settings.md") == settings | set(ProjectFields.model_fields)
    assert documented("metrics.md") == metric_names(Metrics().registry)
    assert documented("logging.md") == set(ACTIONS)


def test_every_setting_is_read() -> None:
    """No setting can be set in vain."""
    code = "\n".join(path.read_text() for path in SOURCES)
    for name in Settings.model_fields:
        assert re.search(rf"\b(settings|fields)\.{name}\b", code), name


def test_settings_document_has_the_defaults() -> None:
    """The default that docs/settings.md names is the one in force."""
    text = (ROOT / "docs" / "settings.md").read_text()
    documented = dict(re.findall(r"^\| `([A-Z_]+)` \| ([^|]+) \|", text, re.MULTILINE))
    for name, field in Settings.model_fields.items():
        if name == "projects":
            continue
        default = field.default
        if isinstance(default, tuple):
            default = str(list(default)).replace("'", '"')
        shown = (
            "none"
            if default is None
            else f"`{str(default).lower() if default in {True, False} else default}`"
        )
        assert documented[name.upper()].replace(".0`", "`") == shown.replace(".0`", "`"), name


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_links_lead_somewhere(path: Path) -> None:
    """A relative link in a document names a file that is there."""
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text())
    missing = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert not missing


def test_every_route_has_an_access_case(tmp_path: Path) -> None:
    """A new route says in tests/unit/access_cases.py what callers of another project are answered."""
    assert asyncio.run(protected_routes(tmp_path)) == set(CASES)


def test_make_targets_in_documents_exist() -> None:
    """A document names no make target that the Makefile lacks."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for path in DOCUMENTS:
        named_targets = set(re.findall(r"`make ([a-z-]+)", path.read_text()))
        assert named_targets <= targets, path
