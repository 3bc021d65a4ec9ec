# Needs make and Python 3.11 or newer, and make lint needs npm too; everything else is brought along. Variables are set on
# the command line only: an exported HOST or PORT that means something else must not move the shop.
PYTHON = python3
PORT = 8000
HOST = 127.0.0.1
KAFKA = auto
TEST_PROCESSES = 4
RESET =
OBSERVABILITY =
SHORT =
ARGS =

VENV_PYTHON = .venv/bin/python
PIP_INSTALL = $(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check -r
RUNTIME = .venv/requirements.stamp
DEVELOPMENT = .venv/requirements-dev.stamp
NODE_MODULES = node_modules/.package-lock.json

.DEFAULT_GOAL := help
.PHONY: help demo test prove lint lint-js lint-secrets lock advisories bench up wheel install browser venv

help: ## list the targets
	@echo 'Bookrush: make TARGET'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' Makefile

demo: $(RUNTIME) ## the whole shop here, until Ctrl-C (PORT=8000 HOST=127.0.0.1 KAFKA=auto|embedded|single|cluster|SERVERS RESET=1 OBSERVABILITY=1)
	@exec $(VENV_PYTHON) manage.py demo --host '$(HOST)' --port '$(PORT)' --kafka '$(KAFKA)' $(if $(filter-out 0 no false,$(RESET)),--reset) $(if $(filter-out 0 no false,$(OBSERVABILITY)),--observability)

test: $(DEVELOPMENT) browser ## every case (ARGS="-m kafka" narrows them down, TEST_PROCESSES=0 runs them in one)
	@exec $(VENV_PYTHON) -m pytest --numprocesses=$(TEST_PROCESSES) $(ARGS)

prove: $(DEVELOPMENT) browser ## the long forms: more seeds, orders, kills and drills (SHORT=1 leaves out the longest)
	@exec $(VENV_PYTHON) -m pytest --prove $(if $(filter-out 0 no false,$(SHORT)),--short) --numprocesses=$(TEST_PROCESSES) $(ARGS)

lint: $(DEVELOPMENT) lint-js lint-secrets ## check style, format, types, imports, templates, scripts, style sheets, secrets
	$(VENV_PYTHON) -m ruff check
	$(VENV_PYTHON) -m ruff format --check
	find templates kafka_bridge/templates devtools/templates -name '*.html' | xargs .venv/bin/djade --check
	.venv/bin/lint-imports --no-logo
	$(VENV_PYTHON) -m mypy .

lint-js: $(NODE_MODULES) ## check scripts and style sheets alone
	node_modules/.bin/biome lint --error-on-warnings

# Words such as password= are everywhere in tests, so only what looks like a real key or a real login counts.
lint-secrets: $(DEVELOPMENT) ## look for keys and passwords in what git has
	git ls-files -z | xargs -0 -n 150 -P 2 .venv/bin/detect-secrets-hook --disable-plugin KeywordDetector \
	--exclude-files '^(requirements\.lock|package-lock\.json)$$' --exclude-secrets '^(bookrush|password|0123456789ABCDEFGHJKMNPQRSTVWXYZ)$$'

lock: $(DEVELOPMENT) ## requirements.lock anew: all that requirements.txt brings, with hashes, for the image
	.venv/bin/uv pip compile --quiet requirements.txt --generate-hashes --universal --python-version 3.11 --no-header \
	--no-emit-index-url --output-file requirements.lock

advisories: $(DEVELOPMENT) ## ask the package index which locked packages have known weaknesses
	.venv/bin/uv tool run --from pip-audit==2.10.1 pip-audit --requirement requirements.lock --require-hashes --disable-pip --strict

bench: $(DEVELOPMENT) ## the benchmarks, as a table
	@exec $(VENV_PYTHON) -m benchmarks $(ARGS)

up: ## the compose file: three brokers, every role, kafka-ui on 8080
	@exec docker compose up --build $(ARGS)

wheel: | venv ## kafka_bridge as a package of its own, django-kafka-bridge, in dist/
	$(VENV_PYTHON) -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist ./kafka_bridge

install: $(DEVELOPMENT) ## make .venv with all that the other targets need

# What checks scripts and style sheets comes from npm, in the versions of package-lock.json; the shop runs without it.
$(NODE_MODULES): package.json package-lock.json
	@command -v npm >/dev/null || { echo 'make lint checks the scripts with Biome, which comes from npm, and there is no npm: install Node.js (Debian: apt install npm)' >&2; exit 1; }
	@echo 'Installing what package-lock.json lists into node_modules'
	@npm ci --no-audit --no-fund --ignore-scripts --loglevel=error || { echo 'It could not be installed: see above. Is the npm registry reachable?' >&2; exit 1; }
	@touch $@

browser: $(DEVELOPMENT)
	@$(VENV_PYTHON) -m devtools.testing.browser

# A virtual environment counts when its interpreter runs and pip is in it: one half made by an interrupted run, or whose
# Python was removed since, is made anew.
venv:
	@$(VENV_PYTHON) -c 'import pip' 2>/dev/null || { \
	command -v $(PYTHON) >/dev/null || { echo 'Bookrush needs Python 3.11 or newer, and there is no $(PYTHON): install it, or name yours as in make demo PYTHON=python3.12' >&2; exit 1; }; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'Bookrush needs Python 3.11 or newer, and $(PYTHON) is older: install one, and name it as in make demo PYTHON=python3.12' >&2; exit 1; }; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo '$(PYTHON) has no venv module: install it (Debian: apt install python3-venv), or name another Python as in make demo PYTHON=python3.12' >&2; exit 1; }; \
	echo 'Making the virtual environment .venv'; \
	$(PYTHON) -m venv --clear .venv; }

# A stamp is a copy of the requirements it stands for. When only a file's time has changed (a checkout), nothing is
# installed; when an installation was interrupted, there is no stamp yet and it is taken up again.
$(RUNTIME): requirements.txt requirements-demo.txt | venv
	@cat requirements.txt requirements-demo.txt | cmp -s - $@ || { echo 'Installing requirements-demo.txt into .venv (the first time, this takes a minute)'; \
	$(PIP_INSTALL) requirements-demo.txt; } || { echo 'The requirements could not be installed: see above. Is the package index reachable?' >&2; exit 1; }
	@cat requirements.txt requirements-demo.txt > $@

$(DEVELOPMENT): requirements-dev.txt requirements.txt requirements-demo.txt | venv
	@cat requirements.txt requirements-demo.txt requirements-dev.txt | cmp -s - $@ || { echo 'Installing requirements-dev.txt into .venv (the first time, this takes a minute)'; \
	$(PIP_INSTALL) requirements-dev.txt; } || { echo 'The requirements could not be installed: see above. Is the package index reachable?' >&2; exit 1; }
	@cat requirements.txt requirements-demo.txt requirements-dev.txt > $@
	@cat requirements.txt requirements-demo.txt > $(RUNTIME)
