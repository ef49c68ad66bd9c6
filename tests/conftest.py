"""Fixtures for all tests live in plugins beside what they start."""

import gc

pytest_plugins = ["tests.servers.kafka", "tests.servers.postgres", "tests.servers.projections"]


def pytest_collection_finish() -> None:
    """What has been imported and collected by now stays: there is no need to look for garbage in it."""
    gc.freeze()
