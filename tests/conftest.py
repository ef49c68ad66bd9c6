"""Fixtures for all tests live in plugins beside what they start."""

import gc

import pytest

pytest_plugins = ["tests.servers.kafka", "tests.servers.postgres", "tests.servers.projections"]


def pytest_collection_finish() -> None:
    """What has been imported and collected by now stays: there is no need to look for garbage in it."""
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The file that takes longest begins first: nothing waits for it at the end."""
    items.sort(key=lambda item: item.path.name != "test_benchmarks.py")
