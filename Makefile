# The front door. `make help` lists what there is.
PYTHON ?= python3
BIN    := .venv/bin
ARGS   ?=
SETS   := run test all

.DEFAULT_GOAL := help
.PHONY: help run test check scan golden contracts plan policies cost bench faults lock images

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: ## the whole platform on this machine; ARGS=--once sends mock tickets, prints them triaged and exits
	@$(PYTHON) services/local/install.py run
	@$(BIN)/pointsman up $(ARGS)

test: ## all tests but the slow ones, a file at a time on each of two processes; ARGS="-n 0 tests/cost" on one
	@$(PYTHON) services/local/install.py test
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: ## ruff, ty, and actionlint where it is installed
	@$(PYTHON) services/local/install.py test
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/ty check
	@if command -v actionlint >/dev/null; then actionlint; else echo "actionlint is not installed: pipelines are checked by GitHub's schema alone (make test)"; fi

scan: ## checkov over objects, images' recipes and pipelines, in an environment of its own
	@test -x build/checkov/bin/checkov || ($(PYTHON) -m venv build/checkov && build/checkov/bin/pip install --quiet checkov==3.3.30)
	@build/checkov/bin/checkov --config-file .checkov.yaml -d .

golden: ## rewrites golden files; read the diff
	@$(PYTHON) services/local/install.py test
	@POINTSMAN_GOLDEN=1 $(BIN)/python -m pytest -q tests/services/core/llm/test_prompt.py tests/infra/test_contract.py tests/infra/test_settings.py tests/infra/test_stacks.py tests/k8s tests/infra/watch tests/cost tests/test_docs.py

contracts: ## writes design/contracts/*.schema.json and the typed client, pointsman/client/generated.py
	@$(PYTHON) services/local/install.py run
	@$(BIN)/python -m services.core.contracts.schemas
	@$(BIN)/python -m services.gateway.client_file

plan: ## the three cloud stacks side by side, offline; ARGS="all --profile small"
	@$(PYTHON) services/local/install.py test
	@$(BIN)/pointsman plan $(ARGS)

# PyYAML and the clouds' SDKs stay out of the pack: it sees registrations, not programs.
policies: ## the policy pack's own environment, for `pulumi preview --policy-pack infra/policies`
	@$(PYTHON) -m venv infra/policies/venv
	@infra/policies/venv/bin/python -m pip install --quiet -r infra/policies/requirements.txt
	@infra/policies/venv/bin/python -c "import site; print(site.getsitepackages()[0])" | xargs -I % sh -c 'echo "$(CURDIR)" > %/pointsman.pth'
	@infra/policies/venv/bin/python -c "import pulumi_policy; from infra.policies.rules import RULES; print(len(RULES), 'rules')"

cost: ## what it costs per month and per ticket; ARGS="--profile small --tickets 1000"
	@$(PYTHON) services/local/install.py test
	@$(BIN)/pointsman cost $(ARGS)

bench: ## speed and memory, as ratios beside the machine's own ceiling (minutes)
	@$(PYTHON) services/local/install.py test
	@$(BIN)/python -m tests.bench $(ARGS)

faults: ## kill -9 at 100 points while 500 tickets flow, at 20 of a training and 40 after it; training by two machines (minutes)
	@$(PYTHON) services/local/install.py test
	@$(BIN)/python -m pytest -m slow tests/faults tests/services/trainer tests/k8s/workloads $(ARGS)

# One resolution for all sets, then subsets of it. Torch and its CUDA packages are left out: install.py installs torch
# by itself, so that a machine with a CPU wheel takes that.
# What is locked stays where it is, unless ARGS=--upgrade or ARGS="--upgrade-package NAME" asks for newer ones.
UV = $(BIN)/uv pip compile pyproject.toml -q --universal --python-version 3.11 --generate-hashes --no-header --group build
TORCHLESS = awk '/^[a-z]/ {skip = /^(torch|triton=|nvidia-|cuda-)/} !skip'

# One lock per image, without what its process never imports: tests/infra/images/test_locks.py starts each beside its lock.
# router: kserve wants an API client of Kubernetes, pandas and a protobuf compiler; tokenizers a client of a model hub.
IMAGES := gateway router worker rag trainer
UNUSED_router := cffi cryptography durationpy filelock fsspec grpcio-tools hf-xet httpcore2 httpx2 httpx2-jsfetch \
    huggingface-hub kubernetes oauthlib pandas pillow pycparser pytz requests-oauthlib setuptools tqdm truststore \
    websocket-client
UV_IMAGE = $(BIN)/uv pip compile pyproject.toml -q --universal --python-version 3.11 --generate-hashes --no-header \
    -c locks/all.lock --extra tracing

lock: ## resolves the dependency sets into locks/*.lock (needs uv in .venv); ARGS=--upgrade takes newer ones
	@mkdir -p locks
	@$(UV) --all-extras $(ARGS) -o locks/all.lock >/dev/null && $(TORCHLESS) locks/all.lock > locks/all.new && mv locks/all.new locks/all.lock
	@$(UV) $(foreach e,gateway router worker rag trainer local tracing,--extra $(e)) -c locks/all.lock | $(TORCHLESS) > locks/run.lock
	@$(UV) $(foreach e,gateway router worker rag trainer local tracing infra cost test,--extra $(e)) -c locks/all.lock | $(TORCHLESS) > locks/test.lock
	@$(foreach i,$(IMAGES),$(UV_IMAGE) --extra $(i) $(UNUSED_$(i):%=--no-emit-package %) | $(TORCHLESS) > locks/$(i).txt &&) true
	@$(BIN)/python -m infra.images.wheels

images: ## builds, starts and measures the images (minutes; root, buildah and mmdebstrap, or docker); ARGS="--only gateway"
	@$(PYTHON) services/local/install.py test
	@$(BIN)/python -m infra.images $(ARGS)
