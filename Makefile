# make demo   install into .venv and compare the sample photos
# make test   install the development tools too and run every check
# make check  lint, types, import rules and the quick tests
# make clean  remove what these made

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install --constraint constraints.txt
SETUP := pyproject.toml constraints.txt Makefile

.PHONY: demo test check lint clean

demo: $(VENV)/.installed
	@$(BIN)/python examples/demo.py

test: $(VENV)/.installed-dev lint
	$(BIN)/python -m pytest

check: $(VENV)/.installed-dev lint
	$(BIN)/python -m pytest --ignore=tests/training --ignore=tests/app

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("TwinFace needs Python 3.11 or newer; run: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	@echo "making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(SETUP) | $(BIN)/python
	@echo "installing TwinFace into $(VENV) ..."
	@$(PIP) --editable .
	@touch $@

$(VENV)/.installed-dev: $(SETUP) | $(BIN)/python
	@echo "installing TwinFace and its development tools into $(VENV) ..."
	@$(PIP) --editable ".[dev]"
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
