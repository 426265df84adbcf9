# Maskwatch: «make up» runs it, «make test» tests it. Everything is installed into .venv, nothing outside it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python requirements/install.py
MASKWATCH := $(BIN)/maskwatch
# Megabytes that are fetched, and that lie on the disk once they are unpacked too; measured, for the progress bar.
BASE_MB := 280
BASE_UNPACKED_MB := 1130
DEV_MB := 435
DEV_UNPACKED_MB := 1730
TRAIN_UNPACKED_MB := 9000
ALONE := tests/faults tests/browser tests/integration
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

.DEFAULT_GOAL := help
.PHONY: help up test test-loop test-compose scan image secrets bench bench-loop faults soak lint train pipeline notebook lock clean

help: ## Print this
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: $(VENV)/.base ## Run everything on this machine (CAMERA=webcam:0: your own camera; LAN=1: phones nearby)
	@exec $(MASKWATCH) up $(if $(LAN),--lan) $(foreach camera,$(CAMERA),--camera $(camera))

test: $(VENV)/.dev ## Lint, types, import rules and all tests with coverage (TRAIN=1 adds training's, 3 GB)
	@$(if $(TRAIN),$(MAKE) --no-print-directory $(VENV)/.train,:)
	@$(MAKE) --no-print-directory lint
	$(BIN)/coverage erase
	@# Faults and browsers one after the other, with the machine for themselves: their bounds are in seconds. What fails
	@# is run once more by itself, since machines are shared: it counts if it fails again, and is named either way.
	@together=0; alone=0; \
	$(BIN)/coverage run -m pytest --cache-clear -n auto --maxprocesses 4 --dist loadfile $(ALONE:%=--ignore %) || together=$$?; \
	$(BIN)/coverage run -m pytest $(ALONE) || alone=$$?; \
	[ $$together -le 1 ] && [ $$alone -le 1 ] || exit 1; \
	[ $$together$$alone = 00 ] || { echo "Once more, by itself, what failed:"; \
	$(BIN)/coverage run -m pytest --last-failed --last-failed-no-failures none -rA --show-capture no; }
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

test-loop: $(VENV)/.train ## What takes long by its nature, with the settings of every day: a drift, and the whole circle (two hours)
	$(BIN)/pytest tests/browser/test_drift_seen.py tests/integration/test_circle.py -m long

test-compose: $(VENV)/.dev ## Bring compose/ up, break it, upgrade, back up and restore it (needs a Docker engine; a quarter of an hour)
	$(BIN)/pytest tests/compose -m "" -p no:xdist -rfEsP --durations 10

scan: $(VENV)/bin/python ## Look for known holes in the packages that serve, and in our code (pip-audit, bandit)
	@$(BIN)/python -m venv $(VENV)/scan && $(VENV)/scan/bin/pip install --disable-pip-version-check -q "pip-audit>=2.9" "bandit>=1.8"
	$(VENV)/scan/bin/bandit -q -r --severity-level high maskwatch producers processors consumers training api
	@# Strict, or a list that nobody could look up would pass.
	$(VENV)/scan/bin/pip-audit --strict --disable-pip --require-hashes -r requirements/base.txt

image: ## Build the image of every role that serves
	docker build -t maskwatch:$(VERSION) .

secrets: $(VENV)/.base ## Make passwords and certificates for compose/cluster.yaml (HOST=masks.example.org)
	@$(MASKWATCH) secrets make compose/secrets --cluster $(foreach host,$(HOST),--host $(host))

bench: $(VENV)/.dev ## Measure speed, ages and memory, and write them into docs/performance.md (leave the machine alone)
	$(BIN)/python -m tests.benchmarks --docs docs/performance.md --picture docs/images/performance.png
	$(BIN)/python -m tests.benchmarks.drift --docs docs/drift.md

bench-loop: $(VENV)/.train ## Measure what a round of the learning loop wins back and costs (an hour and a half), into docs/learning.md
	$(BIN)/python -m tests.benchmarks.loop --docs docs/learning.md
	$(BIN)/python -m tests.benchmarks.beside --docs docs/learning.md

faults: $(VENV)/.dev ## Break everything, the long way, and write the figures into docs/faults.md
	$(BIN)/pytest tests/faults -m "" --figures build/faults.json
	$(BIN)/python -m tests.faults.report build/faults.json docs/faults.md

soak: $(VENV)/.dev ## Run at capacity for an hour and see whether anything grows, into docs/faults.md
	$(BIN)/python -m tests.benchmarks.soak --docs docs/faults.md --picture docs/images/soak.png

lint: $(VENV)/.dev ## Ruff, mypy and import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

train: $(VENV)/.train ## Train a model (TRAIN_ARGS="--manifest … --model … --out …"; see docs/training.md)
	$(MASKWATCH) train $(TRAIN_ARGS)

pipeline: $(VENV)/.train ## From photographs to a judged model, as params.yaml says: only what has changed
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/dvc repro

notebook: $(VENV)/.train ## Write notebooks/training.ipynb anew and run it
	$(BIN)/python notebooks/make.py

lock: ## Resolve the pinned packages anew (needs uv)
	for extras in "train:--extra dev --extra train" "dev:--extra dev -c requirements/train.txt" "base:-c requirements/train.txt"; do \
	  uv pip compile -q pyproject.toml requirements/build.in --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate \
	    --generate-hashes $${extras#*:} -o requirements/$${extras%%:*}.txt; done

clean: ## Remove what was built; recordings and models of «make up» stay
	rm -rf $(VENV) build .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Maskwatch needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "venv is missing: apt install python3-venv"; exit 1; }

$(VENV)/.base: requirements/base.txt pyproject.toml | $(VENV)/bin/python
	@test -e $@ || echo "Maskwatch · first start: about $(BASE_MB) MB of packages, 45 MB of Kafka, then nothing is fetched again"
	@$(INSTALL) requirements/base.txt environment $(BASE_UNPACKED_MB)
	@$(MAKE) --no-print-directory $(VENV)/.self
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(VENV)/bin/python
	@test -e $@ || echo "Maskwatch · packages for development: about $(DEV_MB) MB"
	@$(INSTALL) requirements/dev.txt environment $(DEV_UNPACKED_MB)
	@$(MAKE) --no-print-directory $(VENV)/.self
	@touch $@ $(VENV)/.base

$(VENV)/.train: requirements/train.txt pyproject.toml | $(VENV)/bin/python
	@echo "Maskwatch · packages for training: about 3 GB, most of it torch"
	@$(INSTALL) requirements/train.txt environment $(TRAIN_UNPACKED_MB)
	@$(MAKE) --no-print-directory $(VENV)/.self
	@touch $@ $(VENV)/.dev $(VENV)/.base

.PHONY: $(VENV)/.self
# The project runs from its clone: a path file is all that an editable install is.
$(VENV)/.self:
	@$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps --no-build-isolation -e . 
