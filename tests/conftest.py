"""Fixtures for all tests live in plugins beside what they start."""

pytest_plugins = ["tests.servers.kafka", "tests.servers.postgres", "tests.servers.projections"]
