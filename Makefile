# Everything goes through .venv, which .ci/setup makes from uv.lock with what the machine has.

SHELL := /bin/sh
BIN := .venv/bin
PYTEST := $(BIN)/pytest
# make test TESTS=tests/unit, make test TESTS="tests/journeys -k drain"
TESTS ?= tests
# More than the cores: the tests of real servers wait for them most of their time.
WORKERS ?= 4

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run setup servers test lint check test-cluster bench screenshots clean

help:
	@echo "make run           the dashboard on a simulated fleet"
	@echo "make test          the tests, against real servers where they can be had (TESTS=tests/unit for some)"
	@echo "make check         style, types, import contracts, tests: what CI runs"
	@echo "make test-cluster  the contract suite on a real cluster: KUBECONFIG=file, and CONTEXT=name if need be"
	@echo "make bench         the benchmarks"
	@echo "make screenshots   the pictures in screenshots/, made anew"
	@echo "make clean         what the targets above left behind"

run:
	@.ci/setup run
	@$(BIN)/quarterdeck demo

setup:
	@.ci/setup dev

servers:
	@.ci/servers

test: setup servers
	@$(PYTEST) -n $(WORKERS) --dist loadgroup $(TESTS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy fleet backends widgets tui tests .ci/setup.py
	$(BIN)/pyright
	$(BIN)/lint-imports --no-logo

check: lint test

test-cluster: setup
	@test -n "$(KUBECONFIG)" || { echo "which cluster? make test-cluster KUBECONFIG=file [CONTEXT=name]" >&2; exit 2; }
	@$(PYTEST) tests/contract --cluster "$(KUBECONFIG)" $(if $(CONTEXT),--cluster-context "$(CONTEXT)")

bench: setup
	@$(BIN)/python -m benchmarks

screenshots: setup
	@$(BIN)/python -m tests.snapshots.make_screenshots

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist snapshot_report.html
