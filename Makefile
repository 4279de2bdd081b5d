# `make` lists the targets. Each sets up what it needs in .venv first, and only when something changed.
#   PYTHON=python3.12 make test    another interpreter, 3.11 or newer
#   EXTRAS=dev make test           without torch, whose wheels are large

PYTHON ?= python3
VENV ?= .venv
EXTRAS ?= dev,torch
PYTEST_ARGS ?=

VERSION := $(shell $(PYTHON) -c 'import sys; sys.version_info >= (3, 11) and print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
ifeq ($(VERSION),)
$(error $(PYTHON) is not Python 3.11 or newer: name one that is, as in PYTHON=python3.12 make test)
endif

comma := ,
BIN := $(VENV)/bin
PIP := -m pip --disable-pip-version-check -qq  # quiet but for errors
CREATED := $(VENV)/.created-$(VERSION)
DEV := $(VENV)/.installed-$(VERSION)-$(subst $(comma),-,$(EXTRAS))
# the tests' environment serves the demo as well, where it is there already
DEMO := $(firstword $(wildcard $(DEV)) $(VENV)/.installed-$(VERSION)-demo)
BARE := .venv-bare/.installed-$(VERSION)
TESTS := $(BIN)/python -m pytest -n 2 --dist worksteal

# what reads most out of Dagster's event log
ON_POSTGRES := tests/definitions/test_channel.py tests/definitions/test_partitions.py tests/definitions/test_pins.py \
	tests/definitions/test_rollback_sensor.py tests/execution/test_cache_first.py tests/execution/test_channels.py \
	tests/execution/test_partitions.py tests/execution/test_staleness.py

.PHONY: help demo ui rollback-demo rollback-ui test test-fast test-postgres lint format bench pictures clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | awk -F'|' '{printf "  make %-13s %s\n", $$1, $$2}'

demo: $(DEMO)  ## run the demo: two teams, real flights, what runs and what is cached
	@$(BIN)/python deployment/demo.py

ui: $(DEMO)  ## open the demo's project in Dagster's UI, at http://localhost:3000
	@$(BIN)/python deployment/demo.py ui

rollback-demo: $(DEMO)  ## run the second demo: a model fails in service, a sensor takes it back
	@$(BIN)/python deployment/rollback_demo.py

rollback-ui: $(DEMO)  ## open the second demo's project in Dagster's UI
	@$(BIN)/python deployment/rollback_demo.py ui

test: $(DEV)  ## run all tests
	$(TESTS) $(PYTEST_ARGS)

test-fast: $(DEV)  ## run the tests that start no servers, browsers or demos
	$(TESTS) -m 'not slow' $(PYTEST_ARGS)

test-postgres: $(DEV)  ## run the tests of runs, channels, sensors and partitions with Dagster on PostgreSQL
	MLREPRO_TEST_POSTGRES=1 $(TESTS) -m 'not slow' $(ON_POSTGRES) $(PYTEST_ARGS)

lint: $(DEV) $(BARE)  ## check style, types, who imports whom, and the import without extras
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	.venv-bare/bin/python $(PIP) install --no-deps --force-reinstall .
	cd .ci && ../.venv-bare/bin/python bare_import.py

format: $(DEV)  ## rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(DEV)  ## print the benchmarks: edits noticed, data hashes, load time, all-hit runs, plans, throughput
	@for script in benchmarks/*.py; do echo; echo "$$script"; $(BIN)/python "$$script" || exit 1; done

pictures: $(DEV)  ## take the README's pictures again, with the real UI and a browser
	$(BIN)/python docs/make_pictures.py
	MLREPRO_TEST_PICTURES=docs/images $(BIN)/python -m pytest -q tests/deployment/test_tenants_demo.py

clean:  ## remove environments, the demo's folder and caches
	rm -rf .venv .venv-* .demo .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(CREATED):
	@echo "creating $(VENV) with Python $(VERSION)"
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.installed-$(VERSION)-%: $(CREATED) pyproject.toml constraints.txt
	@echo "installing mlrepro and what its extras $(subst -,$(comma),$*) need into $(VENV)"
	@$(BIN)/python $(PIP) install -c constraints.txt -e '.[$(subst -,$(comma),$*)]'
	@touch $@

$(BARE): pyproject.toml constraints.txt
	@echo "installing mlrepro without extras into .venv-bare"
	@$(PYTHON) -m venv --clear .venv-bare
	@.venv-bare/bin/python $(PIP) install -c constraints.txt .
	@touch $@
