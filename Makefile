# ConScope's commands. Each makes what it needs first: .venv is filled from the lock files, once.
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help demo test test-services test-all lint types lock audit notebook bench chaos up down clean

BIN = .venv/bin
PYTEST = $(BIN)/python -m pytest
COMPILE = $(BIN)/uv pip compile --quiet --system-certs --python-version 3.11 --universal --generate-hashes \
	--custom-compile-command "make lock"
# Beside .venv, so that uv links files instead of copying them, and needs no home folder.
export UV_CACHE_DIR ?= $(CURDIR)/.cache/uv
QUICK = not services and not browser

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile | while IFS='	' read -r name what; do \
		printf '  make %-14s %s\n' "$$name" "$$what"; done

demo: .venv/base ## everything on this machine, live in the browser; FOR=60 ends it after a minute
	@$(BIN)/python -m local.demo $(if $(FOR),--for $(FOR))

test: .venv/dev ## the quick tests: no broker, no browser; ARGS="-k lake" goes to pytest
	@$(PYTEST) -n auto --dist worksteal -m "$(QUICK)" $(ARGS)

test-services: .venv/dev ## the tests with real Kafka (Docker, or Java 17 and Maven) and with Chromium
	@$(PYTEST) -n 2 --dist worksteal -m "not ($(QUICK))" $(ARGS)

test-all: test test-services ## both of the above

lint: .venv/dev ## style, import arrows, lock files
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@mkdir -p .cache/lock && cp requirements*.in requirements*.txt .cache/lock
	@cd .cache/lock && for name in requirements requirements-extra requirements-dev; do \
		../../$(COMPILE) $$name.in -o $$name.txt >/dev/null && \
		diff -u ../../$$name.txt $$name.txt || { echo "$$name.txt is not what $$name.in says: run make lock" >&2; exit 1; }; \
	done

types: .venv/dev ## mypy, strict
	@$(BIN)/mypy

lock: .venv/dev ## pin the dependencies anew: requirements*.in -> requirements*.txt
	@$(COMPILE) requirements.in -o requirements.txt >/dev/null
	@$(COMPILE) requirements-extra.in -o requirements-extra.txt >/dev/null
	@$(COMPILE) requirements-dev.in -o requirements-dev.txt >/dev/null
	@for name in quix earlier; do $(COMPILE) bench/$$name.in -o bench/$$name.txt >/dev/null; done

audit: .venv/dev ## known vulnerabilities of the pinned packages, where the OSV database can be reached
	@$(BIN)/python scripts/audit.py

bench: .venv/dev ## events/s and latency of the whole job on real services; ARGS="--runs 5" goes to it
	@$(BIN)/python -m bench $(ARGS)

chaos: .venv/dev ## faults on real services, each run compared with the oracle; ARGS="kills --runs 200" goes to it
	@$(BIN)/python -m chaos $(ARGS)

notebook: .venv/dev ## run every notebook from top to bottom, in place
	@$(BIN)/jupyter-execute --inplace notebooks/*.ipynb

up: ## the stack in Docker; COMPOSE_PROFILES=mock,tools adds a mock market and a Kafka browser
	@docker compose up --build --detach
	@echo "conscope: the dashboard is at http://localhost:$${DASH_PORT:-8050}; follow the flow: docker compose logs -f flow"

down: ## stop the stack; its data stays in Docker's volumes
	@docker compose --profile '*' down

clean: ## remove .venv and caches; the lake and the recovery store stay
	@rm -rf .venv .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: newer than the lock file means installed. A .venv whose Python has gone is made anew.
$(BIN)/python:
	@scripts/make-venv

.venv/base: requirements.txt $(BIN)/python
	@scripts/make-venv base

.venv/dev: requirements-dev.txt .venv/base
	@scripts/make-venv dev
