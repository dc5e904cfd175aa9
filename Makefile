# `make demo` and `make test` need Python 3.11 and make; they set up .venv themselves.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
DEMO := demo

# One computing thread per process: tests and converters run side by side.
test: export OMP_NUM_THREADS = 1

quick: export OMP_NUM_THREADS = 1

.PHONY: setup test quick lint package demo apk clean

setup: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	touch $@

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy benchmarks/*.py
	$(BIN)/lint-imports

test: lint
	$(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

# What takes no conversion, no training and few processes.
quick: setup
	$(BIN)/pytest -m "not slow" -n $(JOBS)

# The wheel, built, checked and tried in empty environments.
package: setup
	rm -rf dist
	$(BIN)/python -m build --installer uv --outdir dist .
	$(BIN)/twine check --strict dist/*
	$(BIN)/python tests/packaging.py dist

demo: setup
	rm -rf $(DEMO)
	$(BIN)/pmsi-birds $(DEMO)/birds --species 6 --train 60 --val 10 --test 20 --size 128
	$(BIN)/pmsi-train $(DEMO)/birds --method rmg-pmsi --weights none --epochs 16 --output $(DEMO)/run \
		--set train.batch_size=16 --set train.lr_backbone=0.02 --set train.clip_norm=0 --set data.workers=0 \
		--set preprocessing.resize=112 --set preprocessing.crop=96
	$(BIN)/pmsi-eval $(DEMO)/run/ckpt.pt $(DEMO)/birds
	$(BIN)/pmsi-export --format all $(DEMO)/run/ckpt.pt --data $(DEMO)/birds --output $(DEMO)/models
	$(BIN)/pmsi-bench $(DEMO)/models --report $(DEMO)/report.html
	@echo "The models are in $(DEMO)/models, the report is $(DEMO)/report.html"

# A proof without the Android SDK; to build the app, open android_demo in Android Studio.
apk: setup
	$(BIN)/python android_demo/proof/apk.py

clean:
	rm -rf $(VENV) $(DEMO) dist android_demo/target .mypy_cache .pytest_cache .ruff_cache .hypothesis
