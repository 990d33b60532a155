# Every target sets up .venv by itself; nothing but Python 3.11 to 3.13, git and make is needed.
PYTHON ?= python3
SECONDS ?= 60
BIN := .venv/bin
# `python` in dvc.yaml is then the one in .venv.
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"
# The uv of this machine; where there is none, .venv gets one, pinned as the rest.
UV = $(shell command -v uv || echo $(BIN)/uv)
INSTALL = $(UV) pip install --quiet --python $(BIN)/python
PINNED = $(INSTALL) --require-hashes --no-build-isolation
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make pins" $(if $(UPGRADE),--upgrade-package $(UPGRADE))

.PHONY: help install repro comparison test test-slow test-parallel test-jax lint pins fuzz plots report demo bench bench-full crash clean clean-all
.DEFAULT_GOAL := help

repro: .dvc/plots.html  ## fetch, train, select and evaluate whatever is not up to date
	@$(RUN) python -m fashion_mnist check --used
	@$(RUN) python -m dvc_parallel
	@$(RUN) python -m fashion_mnist results

comparison: .venv/installed  ## train other networks too, and put them in a table: six hours
	@$(RUN) python -m dvc_parallel preprocess
	@cd comparison && $(RUN) python -m dvc_parallel
	@cd comparison && $(RUN) python -m comparison.page

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 15

install: .dvc/plots.html  ## set up .venv, from packages pinned by hash

test: .venv/developing  ## the code, and the pipeline on a small data set: some minutes
	@$(RUN) python -m pytest -n 2 -m "not slow"

test-slow: .venv/developing  ## the pipeline killed, short of disk or memory, moved, and on a cluster
	@$(RUN) python -m pytest -n 2 -m slow tests dvc_parallel/tests

test-parallel: .venv/developing  ## the parallel stage runner, dvc_parallel
	@$(RUN) python -m pytest -n 2 -m "not slow" dvc_parallel/tests

test-jax: .venv/developing  ## the small pipeline with JAX as Keras's backend
	@$(PINNED) --target .venv/jax -r constraints/jax.txt
	@$(RUN) PYTHONPATH="$(CURDIR)/.venv/jax" python -m pytest tests/test_stages.py -k jax

lint: .venv/developing  ## style and types
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy

pins: .venv/installed  ## pin what requirements.txt and pyproject.toml name; UPGRADE=NAME takes a newer version of it
	$(COMPILE) requirements.txt -o constraints/run.txt
	$(COMPILE) --group uv -o constraints/uv.txt
	$(COMPILE) --group dev -c constraints/run.txt -o constraints/dev.txt
	$(COMPILE) --group jax -c constraints/run.txt -o constraints/jax.txt
	$(COMPILE) --group gpu -c constraints/run.txt -o constraints/gpu.txt

fuzz: .venv/developing  ## damaged input for the file readers, a minute each
	@$(RUN) python -m fuzz --seconds $(SECONDS)

plots: .dvc/plots.html  ## write the page with all plots
	@$(RUN) dvc plots show --out plots/page

report: .venv/installed  ## write all results as one HTML file
	@$(RUN) python -m fashion_mnist report

demo: .venv/installed  ## write a page that classifies pictures in the browser
	@$(RUN) python -m fashion_mnist demo

bench: .venv/installed .venv/torch/installed  ## measure against the original and PyTorch: ten minutes
	@$(RUN) python -m benchmarks.run

bench-full: .venv/installed .venv/torch/installed  ## the same with nothing extrapolated: over an hour
	@$(RUN) python -m benchmarks.growth
	@$(RUN) python -m benchmarks.run --full

crash: .venv/developing  ## kill the pipeline at 100 points and run it again: about an hour
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

# setuptools first, to build packages without a wheel: it would be downloaded unverified for that.
# The project's packages are installed in place, so that comparison/ finds them above it.
.venv/installed: constraints/run.txt pyproject.toml dvc_parallel/pyproject.toml
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info[:2] <= (3, 13) or sys.exit("error: this is Python %d.%d, and TensorFlow needs 3.11, 3.12 or 3.13: try make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv --clear .venv
	@command -v uv >/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints/uv.txt
	@sed -n '/^setuptools==/,/[^\\]$$/p' constraints/run.txt >.venv/build.txt
	$(PINNED) -r .venv/build.txt
	$(PINNED) -r constraints/run.txt
	$(INSTALL) --no-deps --no-build-isolation --editable . --editable ./dvc_parallel
	@rm -rf fashion_mnist/*/__pycache__ # left by versions before fashion_mnist/__init__.py prevented it
	@touch $@

# What tests and checks need, too.
.venv/developing: .venv/installed constraints/dev.txt
	$(PINNED) -r constraints/dev.txt
	@touch $@

# PyTorch is no dependency of the project: the benchmark alone needs it.
.venv/torch/installed: .venv/installed benchmarks/torch.txt
	$(BIN)/python -m venv .venv/torch
	.venv/torch/bin/python -m pip install --quiet --disable-pip-version-check --retries 1 --no-deps -r benchmarks/torch.txt
	@touch $@

# The page of `dvc plots show`, with its scripts in it.
.dvc/plots.html: .venv/installed fashion_mnist/reporting/plots_page.py
	@$(RUN) python -m fashion_mnist.reporting.plots_page
