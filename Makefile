# Two commands: `make demo` shows the main job on real data, `make test` runs the tests.
# Both install what they need below .venv and .cache, from the package registries alone.

PYTHON ?= python3
STORE ?= versitygw
VENV := .venv
BIN := $(VENV)/bin
CACHE ?= $(HOME)/.cache/reprolock-dev
MINIO_VERSION := v0.0.0-20260212201848-7aac2a2c5b7c
# Tests of what is decided without Spark, MLflow or a server.
FAST := tests/test_architecture.py tests/model tests/files tests/property tests/lake/git tests/environment/code tests/steps/locking tests/steps/inputs
PYTEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
export PATH := $(CURDIR)/$(BIN):$(CACHE)/bin:$(PATH)

.PHONY: help install minio check dist test test-long test-fast test-laws test-matrix test-store docs reference large demo demo-stack demo-cluster campaign bench schemas relock clean

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(VENV)/.installed: .ci/requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .ci/uv.lock
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes .ci/requirements.lock .ci/uv.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

install: $(VENV)/.installed ## Install reprolock and what its tests need into .venv

minio: ## Get MinIO by its own documented way, once, when Go is here and minio is not
	@command -v minio >/dev/null || ! command -v go >/dev/null || \
	  { echo "Installing MinIO $(MINIO_VERSION) into $(CACHE)/bin (some minutes, once)"; \
	    GOBIN=$(CACHE)/bin go install github.com/minio/minio@$(MINIO_VERSION); }

check: install ## Lint, format, types, the order of imports, the declared dependencies
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/deptry reprolock

dist: install ## Build the sdist and the wheel, check them, and run reprolock from the wheel alone
	@rm -rf dist && $(BIN)/uv build --quiet
	@$(BIN)/twine check --strict dist/*
	@$(BIN)/python .ci/wheel_alone.py dist/*.whl

test: install minio ## Run the tests; says at the end which real services they ran against
	@$(PYTEST) -m "not long" $(PYTEST_ARGS)

test-long: install minio ## Run the tests that take minutes each: clusters, versions of services, whole guides; CI runs both
	@$(PYTEST) -m long $(PYTEST_ARGS)

test-fast: install ## The tests that need no Spark, no MLflow and no server
	@$(PYTEST) -m "not spark and not live" $(FAST) $(PYTEST_ARGS)

test-laws: install ## Look for a value that breaks a law: other values each time, and many of them
	@REPROLOCK_LAWS=explore $(BIN)/python -m pytest tests/property tests/model -m property $(PYTEST_ARGS)

test-matrix: install minio ## Runs on Spark 3.5, 4.0 and 4.1, each in a locked environment, on a real lakeFS
	@REPROLOCK_MATRIX=all $(BIN)/python -m pytest tests/live/test_spark_versions.py $(PYTEST_ARGS)

test-store: install ## The live tests on another S3 store below lakeFS (STORE=versitygw, whose program is on PATH)
	@REPROLOCK_STORE=$(STORE) $(BIN)/python -m pytest tests/live tests/lake/transfer -m live $(PYTEST_ARGS)

large: install minio ## An object of 5 GiB in and out of a real lakeFS; minutes, and 30 GiB of disk
	@$(BIN)/python -m pytest tests/bench/large_object.py

demo: install ## Lock, train, let the branch move, run again, replay: the main job on real data, with its verdict
	@$(BIN)/python examples/demo/demo.py

demo-stack: install minio ## The same story on a real lakeFS, MinIO and MLflow server, where their programs are here
	@$(BIN)/python examples/demo/demo.py --stack

demo-cluster: install minio ## The same story on a Spark master with two workers, which read a real lakeFS
	@$(BIN)/python examples/demo/demo.py --cluster

campaign: install minio ## Mutate, kill, stop services, fill the disk, write eight at once; many minutes (CAMPAIGN_ARGS=--write)
	@$(BIN)/python tests/campaign/campaign.py $(CAMPAIGN_ARGS)

bench: install minio ## Measure, as ratios in one run
	@$(BIN)/python tests/bench/bench.py

docs: install ## Build the documentation as a site into build/site; a broken link fails
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet && echo "build/site/index.html"

reference: install schemas ## Write the generated parts of docs/reference/ again
	@$(BIN)/python tests/reference.py

schemas: install ## Write schemas/ again from the models
	@$(BIN)/reprolock schema --write schemas

relock: install ## Resolve .ci/requirements.lock anew (RELOCK_ARGS=--upgrade takes what is newer)
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  $(RELOCK_ARGS) --no-emit-package reprolock --extra all --group dev pyproject.toml -o .ci/requirements.lock

clean: ## Remove what was installed and built here
	@rm -rf $(VENV) .cache build dist .pytest_cache
