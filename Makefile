# make run    the default scenario, to the end; ARGS="..." adds options of `sharegrid run`
# make test   linters, types, import rules and tests
# make containers  images, and a run in them; where no Docker Engine answers it says so and does nothing
# make audit  is what is installed what the lock says, and is anything known against it
# make lock   writes constraints.txt and scripts/locked anew; ARGS=--upgrade renews every version
# make chaos  a run whose processes are killed and whose messages are lost by chance, against one that is left alone
# make soak   whole runs in virtual time for an hour, each with accidents by a seed; ARGS="--minutes 10"
# make soak-mutants  100,000 mutilated messages through every service, and 500 of each kind of file
# make soak-absence  a broker stopped and gone for 40 s, all asleep for 60 s, in one process and in several
# make soak-links   a gateway for an hour at real pace on links that misbehave; ARGS="--minutes 15"
# make feeder-audit  whole days of three scenarios, and all of their intervals solved again in a fresh OpenDSS
# make docs   the documents as a site, in build/docs
# make hooks  checks each commit as it is made
# make clean  removes ./.venv
#
# PYTHON=python3.12 make run    takes another interpreter (3.11 or newer) for a new ./.venv

PYTHON ?= python3
VENV := .venv
PACKAGES := broker,cosim,devices,market,sharegrid
# What is compiled cannot be counted line by line: each file that takes its decorators from market/horizon/compiled.py.
COMPILED_FILES := $(shell grep -rl --include='*.py' '^from market.horizon.compiled import' market)
COMMA := ,
COMPILED := $(subst $(subst ,, ),$(COMMA),$(addprefix */,$(COMPILED_FILES)))
# Tests of one file stay together, for they share what is dear to make.
WORKERS := --numprocesses auto --maxprocesses 4 --dist loadfile
# Just below what the tests reach; raise it when they reach more.
LEAST_COVERAGE := 95.5
# Written last: a half-made environment is made anew.
STAMP := $(VENV)/.complete

.PHONY: run test docs containers chaos soak soak-mutants soak-links soak-absence feeder-audit audit lock hooks clean

run: $(STAMP)
	$(VENV)/bin/sharegrid run $(ARGS)

test: $(STAMP)
	scripts/need-mosquitto
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/python -m slipcover --source $(PACKAGES) --omit $(COMPILED) --json --out .coverage.json -m pytest $(WORKERS)
	$(VENV)/bin/python -m scripts.coverage_by_package .coverage.json --least $(LEAST_COVERAGE)

docs: $(STAMP)
	$(VENV)/bin/python -m sphinx -W --keep-going -q -b html docs build/docs
	@echo "build/docs/index.html"

chaos: $(STAMP)
	$(VENV)/bin/python -m tests.soak.chaos $(ARGS)

soak: $(STAMP)
	$(VENV)/bin/python -m tests.soak.simulation $(ARGS)

soak-mutants: $(STAMP)
	SHAREGRID_MUTANTS=20000 SHAREGRID_FILE_MUTANTS=500 $(VENV)/bin/python -m pytest --timeout 7200 \
	  tests/broker/door/test_mutated_messages.py tests/integration/test_file_inputs.py $(ARGS)

soak-links: $(STAMP)
	$(VENV)/bin/python -m tests.soak.links $(ARGS)

feeder-audit: $(STAMP)
	$(VENV)/bin/python -m benchmarks.feeder_audit $(ARGS)

soak-absence: $(STAMP)
	$(VENV)/bin/python -m tests.soak.absence $(ARGS)

containers: $(STAMP)
	scripts/containers $(VENV)/bin/python

audit: $(STAMP)
	$(VENV)/bin/python -m scripts.audit

lock:
	scripts/lock $(PYTHON) $(ARGS)

hooks: $(STAMP)
	$(VENV)/bin/pre-commit install

clean:
	rm -rf $(VENV)

$(STAMP): pyproject.toml scripts/locked/dev.txt scripts/make-venv
	rm -f $@
	scripts/make-venv $(PYTHON) $(VENV)
	touch $@
