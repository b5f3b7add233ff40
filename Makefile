# Every target makes the environment in .venv first, if it is missing or older than the lock file.
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: install demo test lint page peers docs bench scorecard clean

install: .venv/installed

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Legato needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(PIP) install -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

demo: install  ## trains three models on embedded MNIST, with 2 and 16 latents, and writes runs/demo/report.html
	$(BIN)/legato demo --overwrite

# By files, in their order: what a file trains is trained once, and the browser's, which come first, end together.
test: install  ## every test (of a part: TESTS="-k …"), in two processes; what the machine lacks for some is named and skipped
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

page: ui/node_modules/installed  ## builds the explorer's page into the package (Node 20.19 or newer), and tests its parts
	cd ui && npm run --silent build && npm test --silent

ui/node_modules/installed: ui/package-lock.json
	cd ui && npm ci --no-audit --no-fund --silent
	@touch $@

peers: .venv/peers/installed  ## libraries that some tests read models of, and benchmarks measure beside

docs: .venv/docs/installed  ## the docs site, into build/docs: open build/docs/index.html
	NO_MKDOCS_2_WARNING=1 PYTHONPATH=.venv/docs $(BIN)/python -m mkdocs build --quiet
	@echo "build/docs/index.html"

bench: .venv/peers/installed  ## speed beside peers and the machine's limit
	PYTHONPATH=.venv/peers $(BIN)/python benchmarks/throughput.py

scorecard: install  ## what the full scorecard of one model costs, by chapter, and how it grows with N, d and k
	$(BIN)/python benchmarks/scorecard.py

.venv/peers/installed: .venv/installed peers.txt
	$(PIP) install --upgrade --no-deps --target .venv/peers -r peers.txt
	@touch $@

.venv/docs/installed: .venv/installed docs.txt
	$(PIP) install --upgrade --no-deps --target .venv/docs -r docs.txt
	@touch $@

clean:
	rm -rf .venv build .pytest_cache .mypy_cache .ruff_cache .hypothesis ui/node_modules
