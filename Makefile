# Every target sets up .venv by itself; nothing but Python 3.11 to 3.13, git and make is needed.
PYTHON ?= python3
SECONDS ?= 60
BIN := .venv/bin
# `python` in dvc.yaml is then the one in .venv.
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help install repro comparison test test-slow test-parallel test-jax lint fuzz plots report demo bench bench-full crash clean clean-all
.DEFAULT_GOAL := help

repro: .dvc/plots.html  ## fetch, train, select and evaluate whatever is not up to date
	@$(RUN) python -m fashion_mnist check --used
	@$(RUN) python -m dvc_parallel
	@$(RUN) python -m fashion_mnist results

comparison: .venv/installed  ## train other networks too, and put them in a table: five hours
	@$(RUN) python -m dvc_parallel preprocess
	@cd comparison && $(RUN) python -m dvc_parallel
	@cd comparison && $(RUN) python -m comparison.page

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 15

install: .dvc/plots.html  ## set up .venv, from packages pinned by hash

test: .venv/installed  ## the code, and the pipeline on a small data set: some minutes
	@$(RUN) python -m pytest -n 2 -m "not slow"

test-slow: .venv/installed  ## the pipeline killed, short of disk or memory, moved, and on a cluster
	@$(RUN) python -m pytest -n 2 -m slow tests dvc_parallel/tests

test-parallel: .venv/installed  ## the parallel stage runner, dvc_parallel
	@$(RUN) python -m pytest -n 2 -m "not slow" dvc_parallel/tests

test-jax: .venv/installed  ## the small pipeline with JAX as Keras's backend
	@$(PIP) --no-deps --upgrade --target .venv/jax jax==0.10.2 jaxlib==0.10.2
	@$(RUN) PYTHONPATH="$(CURDIR)/.venv/jax" python -m pytest tests/test_stages.py -k jax

lint: .venv/installed  ## style and types
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy

fuzz: .venv/installed  ## damaged input for the file readers, a minute each
	@$(RUN) python -m fuzz --seconds $(SECONDS)

plots: .dvc/plots.html  ## write the page with all plots
	@$(RUN) dvc plots show --out plots/page

report: .venv/installed  ## write all results as one HTML file
	@$(RUN) python -m fashion_mnist report

demo: .venv/installed  ## write a page that classifies pictures in the browser
	@$(RUN) python -m fashion_mnist demo

bench: .venv/installed  ## measure against the original, in under ten minutes
	@$(RUN) python -m benchmarks.run

bench-full: .venv/installed  ## the same with nothing extrapolated, and five seeds: over an hour
	@$(RUN) python -m benchmarks.seeds
	@$(RUN) python -m benchmarks.growth
	@$(RUN) python -m benchmarks.run --full

crash: .venv/installed  ## kill the pipeline at 100 points and run it again: about an hour
	@$(RUN) python -m tests.crash --points 100

CLEAN := data/raw data/processed/*.npz models/baseline.h5 models/candidates models/*.onnx plots/history \
	plots/page plots/report.html plots/demo.html comparison/*.onnx .cache
TRAINED := .dvc/cache .dvc/tmp models/checkpoints comparison/models comparison/.dvc/tmp

clean:  ## remove data, models and pages; DVC's cache brings them back without training
	rm -rf $(CLEAN)

clean-all:  ## remove DVC's cache, checkpoints and queued experiments, too: lists them and asks first
	@du -sh $(wildcard $(TRAINED))
	@printf 'Delete these, which may be hours of training, and what make clean removes? [y/N] '
	@read answer && test "$$answer" = y && rm -rf $(CLEAN) $(TRAINED)

# setuptools first, to build packages without a wheel: pip itself would download it unverified.
# The project's packages are installed in place, so that comparison/ finds them above it.
.venv/installed: requirements.txt constraints.txt pyproject.toml dvc_parallel/pyproject.toml
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info[:2] <= (3, 13) or sys.exit("error: this is Python %d.%d, and TensorFlow needs 3.11, 3.12 or 3.13: try make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	@sed -n '/^setuptools==/,/[^\\]$$/p' constraints.txt >.venv/build.txt
	$(PIP) --require-hashes -r .venv/build.txt
	$(PIP) --require-hashes --no-build-isolation -r constraints.txt
	$(PIP) --no-deps --no-build-isolation --editable . --editable ./dvc_parallel
	@touch $@

# The page of `dvc plots show`, with its scripts in it.
.dvc/plots.html: .venv/installed fashion_mnist/reporting/plots_page.py
	@$(RUN) python -m fashion_mnist.reporting.plots_page
