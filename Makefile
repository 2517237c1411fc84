# The two commands: `make reproduce` and `make test`. Both set up .venv first, from pinned dependencies.
PYTHON ?= python3
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: setup reproduce publish report across test lint docs verify provenance readme lock clean
setup: .venv/installed

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "error: Python 3.11 or newer is missing: install it, or name it with make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "error: Python's venv module is missing: install it (Debian, Ubuntu: apt install python3-venv)"; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# A tarball has no .git: DVC must be told that no version control stands around it.
no_scm = test -e .git || dvc config --local core.no_scm true

# STUDY=cifar10 puts studies/cifar10.yaml in place of params.yaml first; without it params.yaml is taken as it is.
reproduce: setup
	@if [ -n "$(STUDY)" ]; then python tools/select_study.py "$(STUDY)"; fi
	@$(no_scm)
	@python tools/mend_locks.py
	dvc repro
	@python tools/publish.py

# Keep the report of a new study of your own in reports/, for git.
publish: setup
	python tools/publish.py --new

# Draw the report in reports/STUDY again from the tables there: neither data, networks nor DVC's cache are needed.
report: setup
	python stages/report.py $(if $(STUDY),--study "$(STUDY)")

# The report across the committed studies, reports/across, from their tables.
across: setup
	python tools/across.py

test: setup
	@$(no_scm)
	pytest

lint: setup
	ruff check
	ruff format --check

# The pages of docs/ and the library's docstrings as a site, docs/_site; a reference that leads nowhere is an error.
docs: setup
	sphinx-build --quiet --fresh-env --fail-on-warning --keep-going docs docs/_site

# Do the committed results belong to the committed params and code?
verify: setup
	python tools/verify.py

# Write down which code has changed since each committed study was made.
provenance: setup
	python tools/verify.py --write

# The claims of the committed studies, in README.md.
readme: setup
	python tools/readme.py
	python tools/graph.py

# Pin the newest dependencies that pyproject.toml allows.
lock:
	uv pip compile pyproject.toml --extra test --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --upgrade --quiet --output-file requirements.lock

clean:
	rm -rf .venv artifacts docs/_api docs/_site
