# Each target sets itself up: a virtual environment in .venv, then what it needs there. The next time that takes no time.
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin

.PHONY: train test test-slow lint
train: .venv/runtime        ## train on the built-in faces; make train ARGS="--data ~/faces" for others
	$(BIN)/python train.py $(ARGS)

test: .venv/tools           ## run the tests, but for the slow ones
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m "not slow" $(ARGS)

test-slow: .venv/tools      ## run the slow tests: sizes and recipes at their real settings
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m slow $(ARGS)

lint: .venv/tools           ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.venv/runtime: requirements.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed (TensorFlow has no other); none was found."; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet -r requirements.txt
	@touch $@

.venv/tools: .venv/runtime pyproject.toml
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@
