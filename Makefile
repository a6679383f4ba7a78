# gatekeeper: `make demo` and `make test` work from nothing but Python ≥ 3.11, make and openssl.
#
#   make demo      install, certify a synthetic data set, leave a signed release and a report, verify it
#   make test      the tests (under 5 minutes on two cores; the ledger's on PostgreSQL skip without its server programs)
#   make check     format, lint, types, architecture, imports, docs
#   make slow      the tests that take minutes
#   make interop   the tests against other programs (needs softhsm2)
#   make bench     ratios inside one run (BENCH=training)
#   make fmt       format the code
#   make docs      write the reference pages (docs/reference) anew from schemas, commands and errors
#
# TORCH names the torch to install. On Linux x86_64 a plain `pip install torch` may take a CUDA build of
# several GB; for the CPU build: make TORCH="torch==2.13.0 --index-url <the index of CPU builds>"
# TORCHVISION goes with it; only build/breaching has it.

PYTHON ?= python3
TORCH ?= torch==2.13.0
TORCHVISION ?= torchvision==0.28.0
VENV ?= .venv
BUILD := build
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check -q
PYTEST := $(BIN)/python -m pytest
T ?= tests gatekeeper
export MYPY_CACHE_DIR := $(BUILD)/mypy
export RUFF_CACHE_DIR := $(BUILD)/ruff

.PHONY: demo test check fmt docs slow interop bench clean

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "gatekeeper needs Python 3.11 or newer"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install $(TORCH)
	$(PIP) install -e ".[digits]"
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(PIP) install -e ".[test]"
	@touch $@

demo: $(VENV)/installed
	@PATH="$(abspath $(BIN)):$$PATH" sh examples/demo.sh $(BUILD)/demo

test: $(VENV)/installed-test
	OMP_NUM_THREADS=1 $(PYTEST) -q -n 2 --dist worksteal -m "not slow and not interop" $(T)

# One test at a time: the longest lie side by side in one file, and would otherwise go to one process.
slow: $(VENV)/installed-test
	OMP_NUM_THREADS=1 $(PYTEST) -q -n 2 --dist load --maxschedchunk 1 -m "slow" $(T)

check: $(VENV)/installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST) -q tests/test_architecture.py tests/test_docs.py tests/test_docs_reference.py

fmt: $(VENV)/installed-test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/installed-test
	$(BIN)/python -m tests.pages

# Another venv with the reference verifier of OpenSSF Model Signing (1.1.1 needs pyOpenSSL and doesn't say so).
$(BUILD)/oms/installed: pyproject.toml
	$(PYTHON) -m venv $(BUILD)/oms
	$(BUILD)/oms/bin/pip --disable-pip-version-check -q install "model-signing>=1.1,<2" pyOpenSSL
	@touch $@

# Another venv with what `gatekeeper verify` needs and nothing more: no torch, no opacus, no onnx.
$(BUILD)/auditor/installed: pyproject.toml
	$(PYTHON) -m venv $(BUILD)/auditor
	$(BUILD)/auditor/bin/pip --disable-pip-version-check -q install click cryptography numpy PyYAML rich scipy
	$(BUILD)/auditor/bin/pip --disable-pip-version-check -q install --no-deps -e .
	@touch $@

# Another venv with programs that read attestations and know nothing of gatekeeper.
$(BUILD)/witness/installed: pyproject.toml
	$(PYTHON) -m venv $(BUILD)/witness
	$(BUILD)/witness/bin/pip --disable-pip-version-check -q install "securesystemslib[crypto]>=1.3,<2" \
	  "in-toto-attestation==0.9.3" "cyclonedx-python-lib[validation]>=11,<12"
	@touch $@

# Another venv with MLflow's server, which the tests start on a database of their own.
$(BUILD)/mlflow/installed: pyproject.toml
	$(PYTHON) -m venv $(BUILD)/mlflow
	$(BUILD)/mlflow/bin/pip --disable-pip-version-check -q install "mlflow>=2.20,<4"
	@touch $@

# sigstore-js, where there is npm.
NPM := $(shell command -v npm 2>/dev/null)
SIGSTORE_JS := $(BUILD)/sigstore-js/node_modules
$(SIGSTORE_JS): pyproject.toml
	mkdir -p $(BUILD)/sigstore-js
	npm install --silent --no-audit --no-fund --prefix $(BUILD)/sigstore-js @sigstore/bundle@4.0.0 @sigstore/verify@3.1.1
	@touch $@

interop: $(VENV)/installed-test $(BUILD)/oms/installed $(BUILD)/auditor/installed $(BUILD)/witness/installed \
  $(BUILD)/mlflow/installed $(if $(NPM),$(SIGSTORE_JS))
	$(if $(NPM),,@echo "sigstore-js is left out: there is no npm")
	GATEKEEPER_MODEL_SIGNING=$(abspath $(BUILD)/oms/bin/model_signing) \
	GATEKEEPER_AUDITOR=$(abspath $(BUILD)/auditor/bin/gatekeeper) \
	GATEKEEPER_WITNESS=$(abspath $(BUILD)/witness/bin/python) \
	GATEKEEPER_MLFLOW=$(abspath $(BUILD)/mlflow/bin/mlflow) \
	GATEKEEPER_SIGSTORE_JS=$(abspath $(SIGSTORE_JS)) \
	$(PYTEST) -q -m "$(if $(NPM),interop,interop and not nodejs)" --no-skips tests

# Another venv with breaching, for who wants `make bench BENCH=audit` to compare with it; its torchvision is TORCH's.
$(BUILD)/breaching/installed:
	$(PYTHON) -m venv $(BUILD)/breaching
	$(BUILD)/breaching/bin/pip --disable-pip-version-check -q install $(TORCH)
	$(BUILD)/breaching/bin/pip --disable-pip-version-check -q install $(TORCHVISION)
	$(BUILD)/breaching/bin/pip --disable-pip-version-check -q install breaching==0.1.2
	@touch $@

bench: $(VENV)/installed-test
	$(BIN)/python -m tests.bench.$(or $(BENCH),training)

clean:
	rm -rf $(BUILD) $(VENV)
