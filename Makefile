# `make demo` sets everything up and runs the main job on real data; `make test` installs the Python packages that the tests
# need and runs them, file by file in three processes at once, as many tests wait for servers: `make test JOBS=1` for one.
# `make system-packages`, as root, installs the programs that they start.

PYTHON ?= python3
JOBS ?= 3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo setup test fuzz chaos java canaries wire docs bench scale system-packages clean

demo: $(VENV)/.installed
	$(BIN)/python -m luthier.commands.demo

setup: $(VENV)/.installed
	@echo "Ready: $(BIN)/luthier --help"

test: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy luthier
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

chaos: $(VENV)/.installed-dev  # kills and broken connections at the full size of the promises, every client on both databases
	$(BIN)/python -m pytest tests/chaos --chaos --timeout=3600 -s
	$(BIN)/python -m pytest tests/e2e tests/worker/test_worker_process.py --chaos --timeout=3600

canaries: $(VENV)/.installed-dev  # the fetcher in a network of its own, where private addresses wait for it
	unshare --user --map-root-user --net $(BIN)/python -m tests.worker.canaries

java: $(VENV)/.installed-dev  # needs root for its Debian packages; compiles for a minute or two
	apt-get update -q && grep -v '^#' packages.java.debian | xargs apt-get install -qy --no-install-recommends
	$(BIN)/python -m pytest tests/e2e/java/check_java.py

bench: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/start.py
	$(BIN)/python benchmarks/wire.py
	$(BIN)/python benchmarks/text.py

scale: $(VENV)/.installed-dev  # an app of a million inputs, on both databases: a quarter of an hour and 3 GB of disk
	$(BIN)/python benchmarks/scale.py

fuzz: $(VENV)/.installed-fuzz  # mutated gRPC messages and schemathesis on both databases: an hour or so
	$(BIN)/python -m tests.fuzz.messages --count 10000 --database sqlite
	$(BIN)/python -m tests.fuzz.messages --count 10000 --database postgresql
	$(BIN)/python -m tests.fuzz.rest --database sqlite
	$(BIN)/python -m tests.fuzz.rest --examples 20 --phases fuzzing --database postgresql

wire: $(VENV)/.installed-dev  # after a change to luthier/wire/luthier.proto
	$(BIN)/python -m luthier.wire.generate

docs: $(VENV)/.installed  # after a change to the catalog, the settings or the calls
	$(BIN)/python -m luthier.commands.reference_docs

system-packages:  # curl, strace and PostgreSQL on Debian; needs root
	apt-get update -q && grep -v '^#' packages.debian | xargs apt-get install -qy --no-install-recommends

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) and "Luthier needs CPython 3.11, 3.12 or 3.13; name one: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[hub,demo]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt $(VENV)/.installed | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

$(VENV)/.installed-fuzz: pyproject.toml constraints.txt $(VENV)/.installed-dev | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[fuzz]'
	@touch $@

clean:
	rm -rf $(VENV) .demo build *.egg-info
