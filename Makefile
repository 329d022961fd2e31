# Two commands matter: `make demo` and `make test`. Both do all set-up.
SHELL := /bin/bash
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(not (3,11) <= sys.version_info < (3,14))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest

.PHONY: help install demo up check lint types test soak bench minio lock clean
.DEFAULT_GOAL := help

help: ## Show what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: $(STAMP) ## Make .venv from the hash lock

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed and none was found; set PYTHON=/path/to/python3" >&2; exit 2; }
	@echo "Setting up $(VENV) (about 1.6 GB, a minute or two) ..."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps --no-compile --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP) ## A file arrives, a flow runs, and ensue says why (CI=1 stops at the end)
	$(BIN)/python examples/demo/run.py

up: $(STAMP) ## Everything on this machine, data in ./.ensue
	$(BIN)/ensue up

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: $(STAMP)
	$(BIN)/mypy

check: lint types ## Lint, types, unit and property tests (< 2 min), before each commit
	$(PYTEST) -q -n 2 -m "(unit or property) and not soak"

# What measures time gets the machine for itself; so do kills, which beside others take longer than alone.
ALONE := tests/connected/test_demo.py tests/connected/test_burst.py tests/connected/test_kill.py \
  tests/connected/test_two_gateways.py tests/connected/test_sink_kill.py tests/simulation/ownership

test: $(STAMP) ## Everything but the soak suites (< 20 min)
	$(MAKE) --no-print-directory lint
	@date +"%T unit, property, contract, simulation"
	$(PYTEST) -q -n 2 -m "not soak" --ignore tests/connected --ignore tests/simulation/ownership
	@date +"%T types, connected"
	@$(BIN)/mypy & types=$$!; \
	  $(PYTEST) -q -n 2 --dist worksteal --durations 12 -m "not soak" tests/connected $(ALONE:%=--ignore %); \
	  rc=$$?; wait $$types && exit $$rc
	@date +"%T connected, one at a time"
	$(PYTEST) --durations 12 -m "not soak" $(ALONE)
	@date +"%T all done"

soak: $(STAMP) ## Long kill and load suites (hours)
	$(PYTEST) -m soak --timeout=7200

bench: $(STAMP) ## Benchmarks with ratios, JSON in bench/results
	@for b in bench/*.py; do case $$b in */_*) ;; *) echo "== $$b"; $(BIN)/python $$b || exit 1;; esac; done

MINIO_DIR := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ensue/minio
MINIO := github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c
minio: ## Build MinIO from its Go module for tests/connected/test_minio.py (20 to 50 min; needs go)
	@command -v minio >/dev/null || test -x $(MINIO_DIR)/minio || { mkdir -p $(MINIO_DIR); tmp=$$(mktemp -d); \
	  GOPATH=$$tmp GOCACHE=$$tmp/build GOBIN=$(MINIO_DIR) GOFLAGS=-modcacherw nice -n 19 \
	  go install -trimpath -ldflags="-s -w" $(MINIO); rc=$$?; rm -rf $$tmp; exit $$rc; }

lock: $(STAMP) ## Resolve pyproject.toml anew into requirements.lock (needs uv)
	uv pip compile pyproject.toml --all-extras --group dev --generate-hashes --universal --python-version 3.11 \
	  --no-annotate --no-header --no-emit-index-url --no-emit-find-links -o requirements.lock

clean: ## Remove what was made here (the environment and caches; never data)
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis .import_linter_cache
