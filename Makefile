# make train | test | sanitize | build | lint | benchmark | clean: each sets up all it needs, in .venv, on a machine
# with Python 3.11 or later. On Windows: see docs/install.md.
#
#   PYTHON=python3.12                 another interpreter for the virtual environment, when it is made
#   PIP_ARGS="--index-url ..."        options for pip install, for example a mirror, when it is made
#   ARGS="--config profile=low"       options for Snakemake (train, benchmark) or pytest (test)

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)
PIP_ARGS ?=
ARGS ?=

BIN := .venv/bin
INSTALLED := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help train benchmark test sanitize build lint clean

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r name what; do \
		printf '  make %-10s %s\n' "$$name" "$$what"; done

train: $(INSTALLED)  ## train, score and report an agent: snakemake train --cores all
	$(BIN)/snakemake train --cores all $(ARGS)

benchmark: $(INSTALLED)  ## measure every optimization phase: snakemake benchmark_all
	$(BIN)/snakemake benchmark_all --cores all $(ARGS)

test: build  ## run the tests
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist worksteal $(ARGS)

sanitize: $(INSTALLED)  ## run the parity tests under AddressSanitizer and UBSan (Linux with gcc)
	scripts/sanitize.sh $(BIN)/python $(ARGS)

build: $(INSTALLED)  ## compile the native code in place; without a compiler, say so and go on
	@$(BIN)/python -m alphazero.native_build

lint: $(INSTALLED)  ## check style, types and the workflow
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakemake --lint

clean:  ## remove what was built and cached; keep .venv, results and checkpoints
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find alphazero -name '*.so' -delete -o -name '_*.cpp' -delete
	find alphazero tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +

# Built apart (`make build`), so that what the compiler says is seen: pip would hide it.
$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or later is needed and none was found;" \
		"install one, or name it: make PYTHON=/path/to/python3"; exit 1; }
	test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt --upgrade setuptools
	ALPHAZERO_NATIVE=skip $(BIN)/python -m pip install --disable-pip-version-check $(PIP_ARGS) \
		-c constraints.txt --no-build-isolation -e ".[dev]"
	@touch $@
