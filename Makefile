.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ADAPTER_FILES := adapter_config.json adapter_model.safetensors loss.png metrics.json resolved.yaml
export OMP_NUM_THREADS ?= 2
export OMP_WAIT_POLICY ?= PASSIVE
export TOKENIZERS_PARALLELISM := false

.PHONY: help demo test test-fast check lint types contracts starter adapter test-vllm clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# torch first and pinned: on Linux a later resolution would otherwise swap builds.
$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(VENV)/.installed ## Set up everything, ingest three handbooks, and chat (the first command)
	@$(BIN)/agentlab demo

test: $(VENV)/.installed-dev ## Set up everything and run all checks and tests (the second command)
	@$(MAKE) --no-print-directory lint types contracts
	$(BIN)/pytest -m 'not vllm' --nbmake tests notebooks $(ARGS)

test-fast: $(VENV)/.installed-dev ## Run the tests that need no model
	$(BIN)/pytest -m 'not slow and not vllm' $(ARGS)

check: test ## Lint, types, import contracts and tests

lint: $(VENV)/.installed-dev ## ruff and deptry
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/deptry .

types: $(VENV)/.installed-dev ## mypy
	$(BIN)/mypy

contracts: $(VENV)/.installed-dev ## Who may import whom
	$(BIN)/lint-imports

starter: $(VENV)/.installed-dev ## Make the starter again, resumably, and print its table: QUESTIONS=folder of the question sets
	@test -d '$(QUESTIONS)' || { echo 'make starter QUESTIONS=folder of the question sets'; exit 2; }
	@$(MAKE) --no-print-directory runs/adapter/metrics.json
	cp runs/reader/reader.safetensors runs/reader/reader_config.json agentlab/starter/reader/
	cp $(addprefix runs/adapter/,$(ADAPTER_FILES)) agentlab/starter/adapter/
	@$(MAKE) --no-print-directory runs/router/metrics.json
	cp runs/router/router.safetensors runs/router/router_config.json agentlab/starter/router/
	@$(MAKE) --no-print-directory runs/intents/metrics.json
	cp runs/intents/router.safetensors runs/intents/router_config.json agentlab/starter/intents/
	$(BIN)/agentlab evaluate starter --questions $(QUESTIONS) --out runs/evaluation.jsonl

runs/passages.jsonl:
	$(BIN)/agentlab finetune passages --questions $(QUESTIONS) --out $@

runs/first-reader/reader.safetensors: runs/passages.jsonl
	$(BIN)/agentlab finetune reader --data $< --out runs/first-reader --resume

runs/hard-passages.jsonl: runs/first-reader/reader.safetensors
	$(BIN)/agentlab finetune passages --questions $(QUESTIONS) --reader runs/first-reader --out $@

runs/reader/reader.safetensors: runs/hard-passages.jsonl
	$(BIN)/agentlab finetune reader --data $< --out runs/reader --set reader=runs/first-reader \
	  --set blend=0.75 --set learning_rate=8e-5 --set 'crop_words=[50,140]' --resume

# A stamp of its own: the weights are there before they are calibrated.
runs/reader/.calibrated: runs/reader/reader.safetensors
	$(BIN)/agentlab finetune calibrate --questions $(QUESTIONS) --reader runs/reader
	@touch $@

runs/starter.jsonl: runs/reader/.calibrated
	$(BIN)/agentlab finetune conversations --questions $(QUESTIONS) --reader runs/reader --out $@

# The last file that a run writes: the others are there when it is.
runs/adapter/metrics.json: runs/starter.jsonl
	$(BIN)/agentlab finetune sft --recipe starter --data $< --model HuggingFaceTB/SmolLM2-135M-Instruct \
	  --out runs/adapter --set chat_template=agentlab/chat_template.jinja --resume

runs/routes.jsonl:
	$(BIN)/agentlab finetune routes --questions $(QUESTIONS) --out $@

runs/router/metrics.json: runs/routes.jsonl
	$(BIN)/agentlab finetune router --data $< --out runs/router --resume

runs/intents.jsonl:
	$(BIN)/agentlab finetune intents --out $@

runs/intents/metrics.json: runs/intents.jsonl
	$(BIN)/agentlab finetune router --recipe intents --data $< --out runs/intents --resume

adapter: $(VENV)/.installed-dev ## Tune a bigger base for the same work, on a GPU: MODEL=name QUESTIONS=folder
	@test -n '$(MODEL)' -a -d '$(QUESTIONS)' || { echo 'make adapter MODEL=name QUESTIONS=folder of the question sets'; exit 2; }
	@$(MAKE) --no-print-directory runs/agent.jsonl
	$(BIN)/agentlab finetune sft --recipe agent --data runs/agent.jsonl --model $(MODEL) \
	  --out runs/$(notdir $(MODEL)) --resume

# Read by the reader that ships.
runs/agent.jsonl:
	$(BIN)/agentlab finetune conversations --questions $(QUESTIONS) --out $@

test-vllm: $(VENV)/.installed-dev ## Build vLLM's own environment and run the agent on it, on the CPU
	VLLM_VENV=.venv-vllm bash tests/serve/vllm_environment.sh
	VLLM_PYTHON=.venv-vllm/bin/python $(BIN)/pytest -m vllm -rs $(ARGS)

clean: ## Remove the environment and caches
	rm -rf $(VENV) .venv-vllm .mypy_cache .ruff_cache .pytest_cache
