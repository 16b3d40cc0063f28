# What the targets do: `make help`. All that set-up needs is Python 3.11 or newer; choose one with PYTHON=python3.13.
PYTHON ?= python3
# Test processes: one a core, between 2 and 4.
WORKERS ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); \
	if [ $$cores -gt 4 ]; then echo 4; elif [ $$cores -lt 2 ]; then echo 2; else echo $$cores; fi)
# More arguments for the program behind a target, as in: make test ARGS="-k upgrade"
ARGS ?=
# What `make test` runs: a file, or one test of it, named on the command line. It is handed on as an environment variable,
# so that brackets, spaces, quotes and dollar signs in the name of a test mean nothing to make or the shell.
override T := $(if $(findstring command,$(origin T)),$(value T))
export T

MAKEFLAGS += --no-print-directory
PIP := .venv/bin/python -m pip --disable-pip-version-check -qq
SETUP := .venv/.installed
SECRETS := .secrets

.DEFAULT_GOAL := help
.PHONY: help python setup run test foreign long attack bench check format schema sbom lock up down clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' Makefile

setup: python $(SETUP) ## make .venv from requirements.lock (the targets that need it do so by themselves)

python:
	@command -v $(PYTHON) >/dev/null || { echo "Tallystick needs Python 3.11 or newer; there is no $(PYTHON)."; exit 1; }

run: $(SETUP) ## start everything here, embedded PostgreSQL included
	@exec .venv/bin/tallystick serve $(ARGS)

test: $(SETUP) ## run the whole test suite, or one file or test: make test T=path::name
	@if [ -n "$$T" ]; then exec .venv/bin/python -m pytest -q "$$T" $(ARGS); \
		else exec .venv/bin/python -m pytest -q -n $(WORKERS) --dist worksteal $(ARGS); fi

foreign: $(SETUP) ## run the suite against another PostgreSQL: make foreign PROGRAMS=/usr/lib/postgresql/15/bin
	@TEST_POSTGRES_PROGRAMS="$(PROGRAMS)" .venv/bin/python -m pytest -q -n $(WORKERS) --dist worksteal $(ARGS)

long: $(SETUP) ## run the tests that take minutes: faults, simulations, large ledgers
	@.venv/bin/python -m pytest -q -s -m long -o faulthandler_timeout=7200 $(ARGS)

attack: $(SETUP) ## charge while the service is attacked (ATTACK_SECONDS=10 each, ONLY=replays)
	@ONLY="$(ONLY)" .venv/bin/python -m tests.attack

bench: $(SETUP) ## measure speed against a plain SQL ledger (ONLY=P1,P9; QUICK=1 for a look)
	@ONLY="$(ONLY)" QUICK="$(QUICK)" ROUNDS="$(ROUNDS)" SECONDS="$(SECONDS)" GROWN="$(GROWN)" SIZES="$(SIZES)" \
		WORKERS="$(BENCH_WORKERS)" .venv/bin/python -m tests.bench

check: $(SETUP) ## lint, format, layout, documentation and types
	@.ci/hooks/pre-commit
	@.venv/bin/mypy

format: $(SETUP) ## mend what `make check` says of style, where that needs no thought
	@.venv/bin/ruff check --fix-only
	@.venv/bin/ruff format

schema: $(SETUP) ## write services/migrations/schema.txt anew, after a migration (verify compares with it)
	@.venv/bin/python -m tests.describe_schema

sbom: $(SETUP) ## print the bill of materials (CycloneDX) of requirements.lock (ARGS=--licences for a list)
	@.venv/bin/python -m tests.bill_of_materials $(ARGS)

lock: $(SETUP) ## write requirements.lock anew from pyproject.toml (ARGS=--upgrade for the newest versions)
	@UV_CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/uv --no-config pip compile pyproject.toml --extra dev \
		--universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		--quiet --output-file requirements.lock $(ARGS)

up: $(SECRETS)/tallystick_bootstrap_key ## start everything in Docker, on port 8000
	@eval "$$(ls -ln $< | awk '{ print "export TALLYSTICK_UID=" $$3 " TALLYSTICK_GID=" $$4 }')" && \
		docker compose up --build --detach --wait $(ARGS)
	@echo "Tallystick answers on http://127.0.0.1:8000 ; a key with every scope is in $<"

down: ## stop what `make up` started; ledger and secrets stay
	@docker compose down $(ARGS)

clean: ## remove set-up and caches; ledgers and secrets stay
	@rm -rf .venv *.egg-info build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .schemathesis
	@find services projections tests -name __pycache__ -type d -prune -exec rm -rf {} +

# A working environment is kept and brought up to date; a broken or missing one is made.
$(SETUP): pyproject.toml requirements.lock
	@$(MAKE) python
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and "Tallystick needs Python 3.11 or \
	newer, and $(PYTHON) is %d.%d. Name another one, as in: make run PYTHON=python3.13" % v[:2])'
	@.venv/bin/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "Setting up .venv, once; about a minute"; $(PYTHON) -m venv --clear .venv; }
	@echo "Installing what requirements.lock names"
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

# Random secrets that only their owner can read. The containers run as that owner: whoever calls make, or 10001 where
# that is root. The key is written last, so that an interrupted run starts over.
$(SECRETS)/tallystick_bootstrap_key:
	@umask 077 && mkdir -p $(SECRETS) && cd $(SECRETS) && \
		random() { od -An -v -N "$$1" -tx1 /dev/urandom | tr -d ' \n'; } && \
		random 24 > postgres_password && \
		{ printf 'postgresql://tallystick:' && cat postgres_password && \
			printf '@postgres:5432/tallystick'; } > tallystick_database_url && \
		random 32 > tallystick_bootstrap_key && \
		if [ "$$(id -u)" = 0 ]; then chown 10001:10001 postgres_password tallystick_*; fi
	@echo "Made secrets in $(SECRETS)"
