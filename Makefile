# make demo | make test | make check | make lab | make bench | make schema | make clean
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# A host without an FFmpeg of its own gets the one from PyPI.
FFMPEG_EXTRA := $(shell command -v ffmpeg >/dev/null 2>&1 || echo ,ffmpeg)
DEMO_RUN_DIR ?= $(if $(XDG_RUNTIME_DIR),$(XDG_RUNTIME_DIR),/tmp)/vidops-demo-$(shell id -u)
PYTEST_ARGS ?=
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.DEFAULT_GOAL := help
.PHONY: help demo test unit integration check format lint types layers lab bench schema clean

help: ## Show this.
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "vidops needs Python 3.11 or newer"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "Installing python3-venv, which Debian keeps apart from Python."; \
		$(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq python3-venv >/dev/null; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.$(if $(FFMPEG_EXTRA),[ffmpeg])'
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev$(FFMPEG_EXTRA)]'
	@touch $@

demo: $(VENV)/.run ## Run stacks/demo.yaml: a camera to watch, recordings that grow, one page that shows it.
	@VIDOPS_RUN_DIR="$(DEMO_RUN_DIR)" VIDOPS_STATE_DIR="$(CURDIR)/data/state" VIDOPS_DATA_DIR="$(CURDIR)/data/recordings" \
		VIDOPS_LOG_LEVEL=warning exec $(BIN)/vidops run stacks/demo.yaml

test: unit integration ## Set up and run all tests that need no virtual machine.

unit: $(VENV)/.dev ## Those that need no other process, on all cores.
	$(BIN)/python -m pytest --numprocesses=auto -m "not integration and not lab and not bench" $(PYTEST_ARGS)

# Two files at a time, however many cores there are: they wait for processes more than they work, and measure what happens
# in time. In the order of the files: else those with the fewest tests, which are the longest, come one by one at the end.
integration: $(VENV)/.dev ## Those with real processes.
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder --durations=15 -m "integration and not lab and not bench" $(PYTEST_ARGS)

check: format lint types layers test ## Everything that must be green.

format: $(VENV)/.dev
	$(BIN)/ruff format --check .

lint: $(VENV)/.dev
	$(BIN)/ruff check .

types: $(VENV)/.dev
	$(BIN)/mypy

layers: $(VENV)/.dev
	$(BIN)/lint-imports

lab: $(VENV)/.dev ## Run the tests that need a real camera host (a QEMU guest; needs root for the first build).
	tests/lab/setup.sh
	$(BIN)/python -m pytest -m lab tests/lab $(PYTEST_ARGS)

bench: $(VENV)/.dev ## Measure.
	$(BIN)/python -m pytest -m bench -s tests/bench $(PYTEST_ARGS)

schema: $(VENV)/.dev ## Write schemas/stack.v1.schema.json anew.
	$(BIN)/vidops schema > schemas/stack.v1.schema.json

clean: ## Remove what was built; data/ stays.
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
