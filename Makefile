# `make demo` and `make test` are all a newcomer needs; both call `make setup`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Where pip finds torch. Empty: wherever pip looks anyway. README.md says how to choose a CPU or CUDA build.
TORCH_INDEX ?=
STAMP := $(VENV)/.installed
# Bytecode is made of what is imported, when it is: making it of everything takes as long as all the rest.
INSTALL := $(BIN)/python -m pip install --quiet --no-compile

.PHONY: setup demo test lint types unit test-editors bench config clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "CodeFace needs Python 3.11 or newer; name one with: make setup PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --upgrade 'pip>=25.1'
	$(INSTALL) --constraint constraints.txt torch==2.13.0 $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	$(INSTALL) --constraint constraints.txt --group dev --group editors --editable '.[local,redis]'
	@touch $@

demo: setup
	$(BIN)/codeface demo

test: setup lint types unit

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

unit: setup
	@command -v redis-server >/dev/null || [ "$$(id -u)" != 0 ] || { apt-get update -qq && apt-get install -y -qq redis-server >/dev/null; }
	$(BIN)/pytest -n 2 --dist loadfile -m 'not editors and not gpu'

test-editors: setup
	$(BIN)/python editors/install.py
	$(BIN)/pytest -n 2 --dist loadfile -m editors tests/editors

bench: setup
	$(BIN)/codeface bench

config: setup
	$(BIN)/codeface settings --defaults > config/default.yaml

clean:
	rm -rf $(VENV) .cache build dist artifacts
