# Every target sets up what it needs. Variables go behind the target: make run DEMO=0 CONSOLE_PORT=8010
PYTHON ?= python3
PY := .venv/bin/python
COMPILE := PATH=".venv/bin:$$PATH" uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-header
# Test processes: two more than two cores, for many tests wait for a process or a clock.
WORKERS ?= 4
CODE := console incidents seg_bridge api_bridge tenants tests deploy
.DEFAULT_GOAL := help
# Compiled modules are kept in the checkout: else each of the dozen processes compiles them all.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: run test lint fix types bench crashloop converge dovecot deploycheck migrations-check clean-data lock help

run: ## set everything up and run it (DEMO=0: no demo; DEMO_MAIL=0: no mail of its; GATEWAY=full: Postfix)
	@$(PYTHON) deploy/bootstrap.py
	@exec $(PY) -m console.launch run

test: ## set everything up and run the tests (ARGS="-k gate" for some; WORKERS=4)
	@$(PYTHON) deploy/bootstrap.py --dev
	@$(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: ## look for mistakes and untidy code
	@$(PYTHON) deploy/bootstrap.py --dev
	@$(PY) -m ruff check . && $(PY) -m ruff format --check .

fix: ## tidy the code
	@$(PYTHON) deploy/bootstrap.py --dev
	@$(PY) -m ruff check --fix . && $(PY) -m ruff format .

types: ## check the types
	@$(PYTHON) deploy/bootstrap.py --dev
	@$(PY) -m tests.services --no-servers $(PY) -m mypy $(CODE)

bench: ## measure against named baselines (ONLY=name for one); writes var/bench.json
	@$(PYTHON) deploy/bootstrap.py --dev
	@$(PY) -m tests.services --durable $(PY) -m tests.bench $(if $(ONLY),--only $(ONLY))

crashloop: ## kill processes at random while mail flows and count it (KILLS=10000; OF=gate: the gate alone; OF=pull: a pull)
	@$(PYTHON) deploy/bootstrap.py --dev
	@$(PY) -m tests.crash$(if $(OF),.$(OF)) $(if $(KILLS),--kills $(KILLS)) $(if $(MAILS),--mails $(MAILS))

converge: ## take sync at Microsoft and Google through STEPS steps of loss and faults (10,000)
	@$(PYTHON) deploy/bootstrap.py --dev
	@BAILEY_SYNC_STEPS=$$(( $(or $(STEPS),10000) / 2 )) $(PY) -m pytest -s tests/api_bridge/sync/test_convergence.py

dovecot: ## run an IMAP server to try the console with (Debian, as root; IMAPS_PORT=8993, LMTP_PORT=8024)
	@$(PYTHON) deploy/bootstrap.py --dev
	@exec $(PY) -m tests.services --no-servers $(PY) -m tests.api_bridge.imap

deploycheck: ## set up a fresh Debian 12 by docs/install.md, start its units, kill and stop them (root on Debian)
	@sh tests/deploycheck/run.sh

migrations-check: ## fail if a model has changed without its migration
	@$(PYTHON) deploy/bootstrap.py --dev
	@$(PY) -m tests.services $(PY) manage.py makemigrations --check --dry-run

clean-data: ## remove the data of this installation (not while it runs)
	@$(PYTHON) -m console.launch.clean

lock: ## compile requirements*.in to the locks with hashes
	@$(PYTHON) deploy/bootstrap.py --dev
	@$(COMPILE) requirements.in --output-file requirements.txt
	@$(COMPILE) --constraints requirements.txt requirements-dev.in --output-file requirements-dev.txt

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20
