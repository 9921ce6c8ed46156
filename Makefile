# `make demo` trains, films and exports a quadrotor policy; `make test` runs every test; `make quick` leaves out the slow tests.
# Each sets up .venv from nothing. Only Python 3.10 or newer and make must be there.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := runs/demo
READY := $(VENV)/.ready
DOCS_READY := $(VENV)/.docs-ready
CLIENTS := tritonclient openpi-client

.PHONY: demo test quick check format lint docs clean

# What lies in $(RUN) is kept: an interrupted run goes on, and make demo RUN=runs/another trains another.
demo: $(READY)
	$(BIN)/python -m hgrpo_control.demo $(RUN)

# Each of the two workers computes on one thread: with more, the threads would wait for each other's cores. The workers
# keep neighbouring tests together (worksteal), which share fixtures.
test quick: export OMP_NUM_THREADS ?= 1
# The tests start many processes, which import faster from compiled files.
test quick: export PYTHONDONTWRITEBYTECODE =

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist worksteal

# Without the tests that train, start processes or serve: those with the mark `slow`.
quick: $(READY)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

check: lint test

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The documentation, in site/. A warning, such as a broken link, is an error.
docs: $(DOCS_READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) site build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The environment is made again whenever a dependency changes.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and f"Python 3.10 or newer is needed; {sys.version.split()[0]} given. Name another: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	# Clients of others that the server's tests use. They ask for older numpy and ml_dtypes than they work with.
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps $(CLIENTS) || \
		echo "$(CLIENTS) could not be installed; tests with these clients will skip"
	touch $@

$(DOCS_READY): $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@
