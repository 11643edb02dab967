# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 3
# Extra arguments for pip, e.g. an index with CPU builds of torch.
PIP_ARGS ?=
# One BLAS thread a process: two collapse when anything else runs.
export OMP_NUM_THREADS ?= 1

.PHONY: help venv dev demo test check fix bench-step docs soak clean

help:
	@echo "make demo   - the whole line on a small simulated world; the last line is the report"
	@echo "make test   - the test suite      make check - lint, types, layering"
	@echo "make venv   - only build $(VENV)    make fix   - format and fix lint"
	@echo "make soak MINUTES=10 - trials of what can go wrong; counts add up in benchmarks/results/soak.json"
	@echo "make bench-step - one CDPO step against the naive one; the last line is JSON"

venv: $(VENV)/.run
dev: $(VENV)/.dev

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "videothinker needs Python 3.11 or newer; found $$($(PYTHON) --version). Use make PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(VENV)/.run
	@$(BIN)/videothinker demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

fix: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench-step: $(VENV)/.run
	@$(BIN)/python benchmarks/step.py

docs: $(VENV)/.dev
	$(BIN)/python -m pytest tests/docs tests/scripts/test_miniature_*.py -q

soak: $(VENV)/.run
	$(BIN)/python benchmarks/soak.py $(PARTS) --minutes $(or $(MINUTES),10)

clean:
	rm -rf $(VENV) runs
