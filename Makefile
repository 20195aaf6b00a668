# `make demo` and `make test` need only Python >= 3.11 and make: each creates .venv and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable

.PHONY: demo test proofs lint docs clean

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("stforecast needs Python 3.11 or newer, found " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.package: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) .
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) '.[dev]'
	$(if $(shell command -v java),$(INSTALL) '.[spark]')
	touch $(VENV)/.package $@

demo: $(VENV)/.package  ## simulate a city, train, evaluate, write grid, map and scorecard
	$(BIN)/stforecast run configs/quickstart.yaml

test: $(VENV)/.dev $(if $(ROOM),,lint)  ## lint, types and the test suite; of one room alone: make test ROOM=events
	$(BIN)/python -m pytest -n auto $(addprefix tests/,$(ROOM))

proofs: $(VENV)/.dev  ## many more examples of files, and trials of damage, faults, kills and two at once (hours; strace)
	$(BIN)/python -m pytest -n auto tests/events --hypothesis-profile=proofs
	$(BIN)/python scripts/damage.py quickstart root=$(VENV)/proofs --small
	$(BIN)/python scripts/faults.py
	$(BIN)/python scripts/kills.py
	$(BIN)/python scripts/no_network.py
	$(BIN)/python -m pytest -n auto tests/sources/test_hostile.py --hypothesis-profile=proofs
	PYTHONPATH=tests/sources $(BIN)/python tests/sources/kills.py 200

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo

$(VENV)/.docs: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) '.[docs]'
	touch $@

docs: $(VENV)/.docs  ## the pages, into site/; fails on a broken link and on anything loaded from elsewhere
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

clean:
	rm -rf $(VENV) build dist site
