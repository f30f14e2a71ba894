# Everything here works from a fresh clone with Python 3.11+ and make; `setup` comes by itself.
PYTHON ?= python3
RUN := .venv/bin/python
PYTEST := $(RUN) -m pytest
# Half of what tests do is waiting: two cores have work for four.
WORKERS ?= 4

.PHONY: help demo up editor test test-again test-browser test-fuzz check format bench soak golden lock setup clean

help:
	@echo "make demo    the whole story in the terminal, from nothing to a picture with a history"
	@echo "make test    every test"
	@echo "make test-browser  what needs Chromium: the editor with accounts, and our conversion of graphs beside its own"
	@echo "make test-fuzz  every route asked nonsense by everybody, its answers beside the OpenAPI document"
	@echo "make up      start everything and keep it running"
	@echo "make editor  ComfyUI's own editor, to be served at /editor/"
	@echo "make check   format, lint, strict types, import contracts"
	@echo "make bench   the figures of docs/benchmarks.md, into bench/latest.json"
	@echo "make soak    the long fault rounds; as root, for executors in network namespaces"
	@echo "make golden  write the stored form of every event anew; a diff is a decision"
	@echo "make lock    resolve the dependencies anew (needs uv)"

demo: setup
	@COMFYPLUS_DATA="$${COMFYPLUS_DATA:-.data/demo}" $(RUN) -m infra.cli demo

up: setup
	@$(RUN) -m infra.cli up

# The next start takes it.
editor: setup requirements-editor.lock
	@echo "installing ComfyUI's editor into .venv"
	@if command -v uv >/dev/null 2>&1; \
	then uv pip install --quiet --python .venv/bin/python --require-hashes -r requirements-editor.lock; \
	else $(RUN) -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements-editor.lock; fi

test: setup
	$(PYTEST) -n $(WORKERS) --dist loadgroup -m "not soak and not browser and not fuzz"

# What failed, once more and one at a time: a fault fails again. What passes now is unsteady, printed by name, and to be mended.
test-again: setup
	@echo "once more, one at a time:"
	$(PYTEST) --last-failed --last-failed-no-failures none -n 0 -v -m "not soak and not browser and not fuzz"

test-browser: .venv/browser .venv/editor-newest
	$(PYTEST) tests/browser -m browser -n 0 --timeout 900

test-fuzz: .venv/fuzz
	$(PYTEST) tests/fuzz -m fuzz -n 2 --timeout 300

check: setup
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

format: setup
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

bench: setup
	$(RUN) -m bench

soak: setup
	$(PYTEST) -m soak --timeout 0
	FUZZ_EXAMPLES=100 $(MAKE) test-fuzz

golden: setup
	$(RUN) -m tests.contract.regenerate

setup: .venv/ready

.venv/ready: requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; set PYTHON to one.") if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv .venv
	@echo "installing the locked dependencies into .venv"
	@if command -v uv >/dev/null 2>&1; \
	then uv pip sync --quiet --python .venv/bin/python --require-hashes requirements-dev.lock; \
	else $(RUN) -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements-dev.lock; fi
	@$(RUN) infra/install.py
	@touch .venv/ready

.venv/browser: .venv/ready requirements-browser.lock
	@command -v chromium >/dev/null 2>&1 || { apt-get update -q && apt-get install -q -y --no-install-recommends chromium; }
	@echo "installing the locked dependencies of the browser's tests into .venv"
	@if command -v uv >/dev/null 2>&1; \
	then uv pip install --quiet --python .venv/bin/python --require-hashes -r requirements-browser.lock; \
	else $(RUN) -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements-browser.lock; fi
	@touch .venv/browser

# The newest editor, beside the one that fits the recorded ComfyUI.
.venv/editor-newest: .venv/ready requirements-editor.lock
	@echo "unpacking the newest editor into $@"
	@rm -rf $@
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes --target $@ -r requirements-editor.lock
	@touch $@

.venv/fuzz: .venv/ready requirements-fuzz.lock
	@echo "installing the locked dependencies of the fuzzing tests into .venv"
	@if command -v uv >/dev/null 2>&1; \
	then uv pip install --quiet --python .venv/bin/python --require-hashes -r requirements-fuzz.lock; \
	else $(RUN) -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements-fuzz.lock; fi
	@touch .venv/fuzz

lock:
	uv pip compile --quiet pyproject.toml --generate-hashes --no-emit-index-url --universal --python-version 3.11 --custom-compile-command "make lock" -o requirements.lock
	uv pip compile --quiet pyproject.toml --extra dev --generate-hashes --no-emit-index-url --universal --python-version 3.11 --custom-compile-command "make lock" -o requirements-dev.lock
	uv pip compile --quiet --group pyproject.toml:browser --constraints requirements-dev.lock --generate-hashes --no-emit-index-url --universal --python-version 3.11 --custom-compile-command "make lock" -o requirements-browser.lock
	uv pip compile --quiet --group pyproject.toml:editor --generate-hashes --no-emit-index-url --universal --python-version 3.11 --custom-compile-command "make lock" -o requirements-editor.lock
	uv pip compile --quiet --group pyproject.toml:fuzz --constraints requirements-dev.lock --generate-hashes --no-emit-index-url --universal --python-version 3.11 --custom-compile-command "make lock" -o requirements-fuzz.lock

clean:
	rm -rf .venv .data .mypy_cache .ruff_cache .pytest_cache .hypothesis
