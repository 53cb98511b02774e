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

# Two processes with a thread each; the tests of a file stay together, for what they set up.
test: $(VENV)/.installed-dev ## Set up everything and run all checks and tests (the second command)
	@$(MAKE) --no-print-directory lint types contracts
	OMP_NUM_THREADS=1 $(BIN)/pytest -m 'not vllm' --nbmake -n 2 --dist loadfile tests notebooks $(ARGS)

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

# A trial shows in a quarter of an hour that all steps run. What it makes is worth nothing, and lies where the
# shipped weights lay: try in a clone, or get those back with git checkout agentlab/starter.
MADE := $(if $(TRIAL),runs/trial,runs)
FEW := $(if $(TRIAL),--count 40)
CONVERSATIONS ?= 800
TALKS := --count $(if $(TRIAL),40,$(CONVERSATIONS))
SHORT := $(if $(TRIAL),--set max_steps=5)
QUICK := $(if $(TRIAL),--quick)

starter: $(VENV)/.installed-dev ## Make the starter again, resumably, and print its table: QUESTIONS=folder [CONVERSATIONS=800] [TRIAL=1: all steps in small]
	@test -d '$(QUESTIONS)' || { echo 'make starter QUESTIONS=folder of the question sets'; exit 2; }
	@$(MAKE) --no-print-directory $(MADE)/adapter/metrics.json
	cp $(MADE)/reader/reader.safetensors $(MADE)/reader/reader_config.json agentlab/starter/reader/
	cp $(addprefix $(MADE)/adapter/,$(ADAPTER_FILES)) agentlab/starter/adapter/
	@$(MAKE) --no-print-directory $(MADE)/router/metrics.json
	cp $(MADE)/router/router.safetensors $(MADE)/router/router_config.json agentlab/starter/router/
	@$(MAKE) --no-print-directory $(MADE)/intents/metrics.json
	cp $(MADE)/intents/router.safetensors $(MADE)/intents/router_config.json agentlab/starter/intents/
	$(BIN)/agentlab evaluate starter --questions $(QUESTIONS) --out $(MADE)/evaluation.jsonl $(QUICK)

$(MADE)/passages.jsonl:
	$(BIN)/agentlab finetune passages --questions $(QUESTIONS) --out $@

$(MADE)/first-reader/reader.safetensors: $(MADE)/passages.jsonl
	$(BIN)/agentlab finetune reader --data $< --out $(MADE)/first-reader --resume $(SHORT)

$(MADE)/hard-passages.jsonl: $(MADE)/first-reader/reader.safetensors
	$(BIN)/agentlab finetune passages --questions $(QUESTIONS) --reader $(MADE)/first-reader --out $@ $(FEW)

$(MADE)/reader/reader.safetensors: $(MADE)/hard-passages.jsonl
	$(BIN)/agentlab finetune reader --data $< --out $(MADE)/reader --set reader=$(MADE)/first-reader \
	  --set blend=0.75 --set learning_rate=8e-5 --set 'crop_words=[50,140]' --resume $(SHORT)

# A stamp of its own: the weights are there before they are calibrated.
$(MADE)/reader/.calibrated: $(MADE)/reader/reader.safetensors
	$(BIN)/agentlab finetune calibrate --questions $(QUESTIONS) --reader $(MADE)/reader
	@touch $@

$(MADE)/starter.jsonl: $(MADE)/reader/.calibrated
	$(BIN)/agentlab finetune conversations --questions $(QUESTIONS) --reader $(MADE)/reader --out $@ $(TALKS)

# The last file that a run writes: the others are there when it is.
$(MADE)/adapter/metrics.json: $(MADE)/starter.jsonl
	$(BIN)/agentlab finetune sft --recipe starter --data $< --model HuggingFaceTB/SmolLM2-135M-Instruct \
	  --out $(MADE)/adapter --set chat_template=agentlab/chat_template.jinja --resume $(SHORT)

$(MADE)/routes.jsonl:
	$(BIN)/agentlab finetune routes --questions $(QUESTIONS) --out $@

$(MADE)/router/metrics.json: $(MADE)/routes.jsonl
	$(BIN)/agentlab finetune router --data $< --out $(MADE)/router --resume $(SHORT)

$(MADE)/intents.jsonl:
	$(BIN)/agentlab finetune intents --out $@

$(MADE)/intents/metrics.json: $(MADE)/intents.jsonl
	$(BIN)/agentlab finetune router --recipe intents --data $< --out $(MADE)/intents --resume $(SHORT)

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
