# `make demo` and `make test` need only Python >= 3.11 and make: both create .venv and install by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test proofs lint docs clean

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("stforecast needs Python 3.11 or newer, found " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

demo: $(STAMP)  ## simulate a city, train, evaluate, write grid, map and scorecard
	$(BIN)/stforecast run configs/quickstart.yaml

test: $(STAMP) lint  ## lint, types and the test suite
	$(BIN)/python -m pytest -n auto

proofs: $(STAMP)  ## the property tests of reading files, on many more examples (minutes)
	$(BIN)/python -m pytest -n auto tests/events --hypothesis-profile=proofs

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo

$(VENV)/.docs: $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $(VENV)/.docs

docs: $(VENV)/.docs  ## the pages, into site/; fails on a broken link and on anything loaded from elsewhere
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

clean:
	rm -rf $(VENV) build dist site
