# Needs Python 3.11 or newer and make; everything else is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

.PHONY: run test torture torture-online torture-load torture-replicas lab lock clean help
.DEFAULT_GOAL := help

help: ## Show what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "ptp needs Python 3.11 or newer; set PYTHON, as in: make run PYTHON=python3.12"; exit 2; }
	@echo "Setting up $(VENV) (once; about a minute)..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

run: $(READY) ## Set up, make a demo source, migrate, verify, benchmark and report
	@$(BIN)/ptp run

test: $(READY) ## Set up, then lint, types, levels, tests and notebooks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder
# The kernels inherit PYTHONWARNINGS (pytest's own filter does not reach them): any warning in a cell is an error there too.
	PYTHONWARNINGS=error $(BIN)/pytest --nbval-lax notebooks

torture: $(READY) ## Long trials, by hand: full-size sources end to end, a million questions, kills and power losses
	$(BIN)/pytest -m torture -s tests/test_torture.py tests/test_bad_files_end_to_end.py tests/queries tests/crash tests/docs

torture-online: $(READY) ## Long trial, by hand: an online migration of a million answers under a writer, five times
	$(BIN)/python tools/torture_online.py

torture-load: $(READY) ## Long trials, by hand: 1,000 users, a server that stands still, one that is killed, plain sqlite3
	$(BIN)/python tools/torture_load.py

torture-replicas: $(READY) ## Long trial, by hand: a writer and four replicas on the real sync server, for a minute
	$(BIN)/python tools/torture_replicas.py

torture-scale: $(READY) ## Long trial, by hand: the model of latency against a server behind a proxy, at five settings
	$(BIN)/python tools/scale_model.py

lab: $(READY) ## Make a demo ready, then open the notebooks in JupyterLab; more options for it in LAB_ARGS
	@$(BIN)/python tools/lab_ready.py
	$(BIN)/jupyter lab --config=tools/lab/config.py $(LAB_ARGS) notebooks/01_migrate.ipynb

lock: $(READY) ## Write requirements.txt anew from what is installed
	@$(BIN)/python tools/lock.py

clean: ## Remove what was installed and generated
	rm -rf $(VENV) reports/20* reports/latest demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
