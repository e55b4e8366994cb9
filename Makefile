# Two commands: `make demo` shows the tool, `make test` tests it. Both set up .venv by themselves.
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name))))
VENV := .venv
BIN := $(VENV)/bin
INSTALLED_FROM := $(wildcard pyproject.toml hatch_build.py llmsched/kernel/*.p*)

.DEFAULT_GOAL := help
.PHONY: help demo test check kernel bench bench-planner bench-traces fuzz sweep mutants results accuracy \
        reconstruct coverage dist clean verify-vllm

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/installed ## compare all policies on the shipped GSM8K trace
	$(BIN)/llmsched compare

test: $(VENV)/installed-dev ## run all tests
	$(BIN)/python -m pytest -n auto

coverage: $(VENV)/installed-dev ## run all tests and show which branches none of them takes
	LLMSCHED_KERNEL=python $(BIN)/python -m pytest -n auto --cov --cov-report=term --cov-report=xml

check: $(VENV)/installed-dev ## formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

kernel: | $(BIN)/python ## compile the kernel anew, after an edit or once there is a compiler
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	$(BIN)/python -c 'from llmsched import kernel; print(kernel.which())'

bench: $(VENV)/installed-dev ## replays by both kernels and whole commands, beside what is aimed at
	$(BIN)/python -m benchmarks.replay

bench-planner: $(VENV)/installed-dev ## the planner's quality and time
	$(BIN)/python benchmarks/planner.py

bench-traces: $(VENV)/installed-dev ## a million rows read and written
	$(BIN)/python benchmarks/traces.py

fuzz: $(VENV)/installed-dev ## 100,000 mutated trace files: a trace or one clear line
	$(BIN)/python benchmarks/fuzz.py --inputs 100000

sweep: $(VENV)/installed-dev ## random replays held against every law; MINUTES=10 SEED=0
	$(BIN)/python -m benchmarks.sweep --minutes $(or $(MINUTES),10) --seed $(or $(SEED),0)

verify-vllm: $(VENV)/installed-dev ## compare with a real vLLM's scheduler, installed aside; VLLM=0.34.0 tries another
	$(BIN)/python -m benchmarks.verify_vllm $(if $(VLLM),--version $(VLLM))

mutants: $(VENV)/installed-mutants ## mutation testing of bounds, metrics, gates, rehearsal, plan, catalog (minutes)
	LLMSCHED_HYPOTHESIS=mutants $(BIN)/mutmut run
	$(BIN)/mutmut results

results: $(VENV)/installed-dev ## the tables of docs/results.md
	$(BIN)/python -m benchmarks.results

accuracy: $(VENV)/installed-dev ## the tables of docs/accuracy.md
	$(BIN)/python -m benchmarks.accuracy

reconstruct: $(VENV)/installed-dev ## step times solved from the published figures; CHECK=--check writes nothing
	$(BIN)/python -m benchmarks.reconstruct $(CHECK)

dist: $(VENV)/installed-release ## build sdist, this machine's wheel and the pure one; try the first in its own environment
	rm -rf dist build/try
	$(BIN)/python -m build
	LLMSCHED_KERNEL=python $(BIN)/python -m build  # from its sdist too: this folder stays compiled
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/python -m venv build/try
	build/try/bin/python -m pip install --quiet --disable-pip-version-check "$$(ls dist/*.whl | head -n 1)"
	cd build/try && bin/llmsched --version && bin/llmsched compare --limit 200 --policies fcfs,hybrid

clean: ## remove .venv, builds and caches
	rm -f llmsched/kernel/*.so llmsched/kernel/built.*.txt
	rm -rf $(VENV) build dist mutants .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage* coverage.xml

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "llmsched needs Python 3.11 or newer; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(INSTALLED_FROM) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/installed-%: $(INSTALLED_FROM) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	touch $@ $(VENV)/installed
