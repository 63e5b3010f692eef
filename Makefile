# make demo   its own environment; exports the zoo's clockwork student and shows every schedule on generated video
# make test   everything that must hold: style, types, import rules, native tests under sanitizers, Python tests
# make lint | native | pytest | bench   parts of it
# make test-board   what is known of boards, over simulated ones
# make arm64  the native library, its tests and edge-vss-run built for 64-bit ARM, under QEMU, labels compared
# make soak   100,000 frames as fast as possible: memory flat, no drift

PYTHON ?= python3
VENV ?= .venv
DEMO_VENV ?= .venv-demo
DATA ?= ../shared/data
JOBS ?= $(shell nproc)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: demo test lint native pytest test-programs test-board arm64 soak bench doctest install stubs clean tensorrt-headers-check

BIN := $(abspath $(VENV))/bin
PIP_FLAGS := --disable-pip-version-check --quiet --constraint constraints.txt
BUILD_TOOLS := scikit-build-core nanobind nlohmann_json ninja
NATIVE := CMakeLists.txt $(shell find runtime tests/native -name '*.cpp' -o -name '*.h' -o -name '*.c' -o -name CMakeLists.txt)

test: lint native pytest
	@echo "make test: all passed"

# Debian packages, where we may.
apt_install = apt-get install -y -qq --no-install-recommends $(1) >/dev/null || \
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends $(1) >/dev/null; }

# ---- environments: a marker file says what was installed, so nothing is installed twice --------------------------

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("edge-vss needs Python 3.10 or newer; say make PYTHON=python3.11") if sys.version_info < (3, 10) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.tools: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install $(PIP_FLAGS) $(BUILD_TOOLS)
	touch $@

# Capture is compiled where GStreamer's headers are, so they come before the package; without them it is left out.
GSTREAMER := libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
  gstreamer1.0-plugins-bad gstreamer1.0-libav libgstrtspserver-1.0-dev

$(VENV)/.gstreamer: | $(VENV)/bin/python
	@if pkg-config --exists gstreamer-app-1.0 gstreamer-video-1.0 2>/dev/null && dpkg -s $(GSTREAMER) >/dev/null 2>&1; then :; \
	elif [ "$$(id -u)" = 0 ]; then $(call apt_install,$(GSTREAMER) pkg-config); \
	else echo "cameras need GStreamer: sudo apt-get install $(GSTREAMER) pkg-config; then: rm $@ $(VENV)/.installed; make"; fi
	touch $@

# Native sources, or a new entry directly in a package folder, need a reinstall; other Python files do not.
$(VENV)/.installed: $(VENV)/.tools $(VENV)/.gstreamer $(NATIVE) edge_vss export calibration jetson
	PATH="$(BIN):$$PATH" $(BIN)/python -m pip install $(PIP_FLAGS) --no-build-isolation --editable '.[train,dev]'
	touch $@

install: $(VENV)/.installed

# ---- style, types, import rules ----------------------------------------------------------------------------------

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd build/dev && $(BIN)/lint-imports --config ../../pyproject.toml
	git ls-files '*.cpp' '*.h' '*.c' | xargs -r $(BIN)/clang-format --dry-run -Werror

# ---- native tests: plain, then under the address and the thread sanitizer -----------------------------------------

DOCTEST := $(firstword $(wildcard /usr/include/doctest/doctest.h /usr/local/include/doctest/doctest.h))

doctest:
ifeq ($(DOCTEST),)
	@if [ "$$(id -u)" = 0 ]; then $(call apt_install,doctest-dev); \
	else echo "the native tests need the header doctest.h: sudo apt-get install doctest-dev"; exit 1; fi
endif

native: $(VENV)/.installed doctest
	$(BIN)/python tests/native/make_cases.py build/cases
	@for sanitizer in none address thread; do echo "native tests, sanitizer: $$sanitizer"; $(MAKE) --no-print-directory native-$$sanitizer; done

# The thread sanitizer of gcc 11 and 12 cannot live with the address randomisation of newer kernels.
NO_RANDOM := $(shell setarch $$(uname -m) -R true 2>/dev/null && echo setarch $$(uname -m) -R)

native-%:
	PATH="$(BIN):$$PATH" cmake -S . -B build/native-$* -G Ninja -DCMAKE_BUILD_TYPE=$(if $(filter none,$*),Release,RelWithDebInfo) \
	  -DEDGE_VSS_BUILD_TESTS=ON -DEDGE_VSS_SANITIZER=$(filter-out none,$*) \
	  -DEDGE_VSS_CASES=$(abspath build/cases) -DPython_EXECUTABLE=$(BIN)/python >build/native-$*.log 2>&1 \
	  || { cat build/native-$*.log; exit 1; }
	PATH="$(BIN):$$PATH" cmake --build build/native-$* --parallel $(JOBS) -- --quiet
	cd build/native-$* && $(NO_RANDOM) ctest --output-on-failure --timeout 300

native-none native-address native-thread: | build

build:
	mkdir -p build

# The tensorrt engine against NVIDIA's own headers, without a GPU; CONTRIBUTING.md says where they come from. What comes
# out must not ask the linker for anything of TensorRT or CUDA. CUDA_INCLUDE_DIR may name several folders, with colons.
TENSORRT_SOURCES := $(wildcard runtime/src/engines/tensorrt*.cpp) runtime/src/engines/registry.cpp
JSON_INCLUDE = $(dir $(shell $(BIN)/python -c 'import nlohmann_json, pathlib; \
  print(next(pathlib.Path(nlohmann_json.__file__).parent.rglob("nlohmann/json.hpp")).parent)'))
colon := :

tensorrt-headers-check: $(VENV)/.tools | build
	@test -f "$(TENSORRT_INCLUDE_DIR)/NvInfer.h" && test -n "$(CUDA_INCLUDE_DIR)" || \
	  { echo "make tensorrt-headers-check TENSORRT_INCLUDE_DIR=FOLDER_OF_NvInfer.h CUDA_INCLUDE_DIR=FOLDER[:FOLDER]"; exit 2; }
	@grep -hE 'define (NV_TENSORRT|TRT)_(MAJOR|MINOR|PATCH|BUILD)[A-Z_]* +[0-9]' $(TENSORRT_INCLUDE_DIR)/NvInferVersion.h
	@for source in $(TENSORRT_SOURCES); do \
	  $(CXX) -std=c++17 -O1 -c -Wall -Wextra -Wshadow -Werror -DEDGE_VSS_TENSORRT -Iruntime/include -Iruntime/src \
	    -isystem $(JSON_INCLUDE) -isystem $(TENSORRT_INCLUDE_DIR) \
	    $(addprefix -isystem ,$(subst $(colon), ,$(CUDA_INCLUDE_DIR))) $$source -o build/headers-check.o; \
	  if nm -uC build/headers-check.o | grep -v evss:: | grep -E 'nvinfer1::|cuda[A-Z]|getInfer|createInfer'; then echo "$$source links hard"; exit 1; fi; \
	  echo "$$source: compiles"; \
	done

# ---- 64-bit ARM: cross-built with Debian's compiler, run by QEMU ----------------------------------------------------

ARM64_PACKAGES := g++-aarch64-linux-gnu qemu-user-static
arm64_onnxruntime = build/onnxruntime-$(1)/onnxruntime/capi/libonnxruntime.so.1.23.2

arm64: $(call arm64_onnxruntime,aarch64) $(call arm64_onnxruntime,x86_64) doctest
	@if command -v aarch64-linux-gnu-g++ >/dev/null && command -v qemu-aarch64-static >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ]; then $(call apt_install,$(ARM64_PACKAGES)); \
	else echo "make arm64 needs more: sudo apt-get install $(ARM64_PACKAGES)"; exit 1; fi
	$(BIN)/python tests/native/make_cases.py build/cases
	PATH="$(BIN):$$PATH" cmake -S . -B build/arm64 -G Ninja -DCMAKE_BUILD_TYPE=Release \
	  -DCMAKE_TOOLCHAIN_FILE=cmake/aarch64.cmake -DEDGE_VSS_BUILD_TESTS=ON -DEDGE_VSS_CASES=$(abspath build/cases) \
	  -DEDGE_VSS_TEST_ONNXRUNTIME=$(abspath $<) -DPython_EXECUTABLE=$(BIN)/python >build/arm64.log 2>&1 \
	  || { cat build/arm64.log; exit 1; }
	PATH="$(BIN):$$PATH" cmake --build build/arm64 --parallel $(JOBS) -- --quiet
	cd build/arm64 && ctest --output-on-failure --timeout 1800 --parallel $(JOBS)
	$(BIN)/python benchmarks/arm64.py --build build/arm64 --onnxruntime $(word 1,$^) --native-onnxruntime $(word 2,$^) \
	  --json build/arm64.json

$(call arm64_onnxruntime,%): cmake/aarch64-onnxruntime.txt $(VENV)/.installed
	rm -rf build/onnxruntime-$*
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
	  --platform manylinux_2_28_$* --python-version 311 --target build/onnxruntime-$* -r $<
	touch $@

# ---- Python tests ------------------------------------------------------------------------------------------------

# TensorRT's Python bindings, which tests/jetson looks into; without them its tests fail.
build/tensorrt-bindings/.fetched: tests/jetson/bindings.py $(VENV)/.installed
	$(BIN)/python tests/jetson/bindings.py
	touch $@

# Programs that look over the files of the systemd service and at the preview page; without them those tests are skipped.
TEST_PROGRAMS := shellcheck:shellcheck systemd-analyze:systemd chromium:chromium

test-programs:
	@missing=(); for each in $(TEST_PROGRAMS); do command -v $${each%:*} >/dev/null || missing+=($${each#*:}); done; \
	if [ $${#missing[@]} = 0 ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get install -y -qq $${missing[@]} || { apt-get update -qq && apt-get install -y -qq $${missing[@]}; }; \
	else echo "some tests need more: sudo apt-get install $${missing[*]}"; fi

pytest: $(VENV)/.installed build/tensorrt-bindings/.fetched test-programs
	EDGE_VSS_DATA="$${EDGE_VSS_DATA:-$(DATA)}" $(BIN)/pytest -q

# Boards without hardware: simulated ones, and TensorRT's two halves. A part of pytest.
test-board: $(VENV)/.installed build/tensorrt-bindings/.fetched test-programs
	$(BIN)/pytest -q tests/board tests/jetson

# 100,000 frames a row, as fast as possible: minutes on a machine that does nothing else.
soak: build/soak.bundle/manifest.json doctest
	$(BIN)/python benchmarks/soak.py --bundle $(<D) --size 64x96 --bundle-frames 100000 --json build/soak.json

build/soak.bundle/manifest.json: $(VENV)/.installed | build
	rm -rf $(@D)
	$(BIN)/edge-vss export zoo:clockwork-street -o $(@D) --size 64x96 --calibration 'street:[size=64x96,frames=40]'

bench: $(VENV)/.installed
	for script in pixels scheduler; do $(BIN)/python benchmarks/$$script.py --json build/$$script.json; done

# The committed stubs of the extension, written anew after a change of its bindings.
stubs: $(VENV)/.installed
	$(BIN)/python -m nanobind.stubgen -q -r -m edge_vss.runtime._native -O runtime

# ---- demo: a plain install of its own, nothing editable -----------------------------------------------------------

DEMO_BIN := $(abspath $(DEMO_VENV))/bin
DEMO_STREET := seed=70001,look=camera,size=352x480,frames=90

$(DEMO_VENV)/.installed: $(NATIVE) pyproject.toml constraints.txt $(shell find edge_vss export calibration jetson -name '*.py' -o -name '*.safetensors')
	test -x $(DEMO_VENV)/bin/python || $(PYTHON) -m venv $(DEMO_VENV)
	$(DEMO_BIN)/python -m pip install $(PIP_FLAGS) $(BUILD_TOOLS)
	PATH="$(DEMO_BIN):$$PATH" $(DEMO_BIN)/python -m pip install $(PIP_FLAGS) --no-build-isolation '.[train]'
	touch $@

demo: $(DEMO_VENV)/.installed
	mkdir -p demo
	cd demo && $(DEMO_BIN)/edge-vss export zoo:clockwork-street -o street.bundle
	cd demo && $(DEMO_BIN)/edge-vss eval street.bundle --data 'street:[$(DEMO_STREET),clips=2]' --schedule all --json eval.json
	cd demo && $(DEMO_BIN)/edge-vss run street.bundle 'street:[$(DEMO_STREET)]' --schedule adaptive --as-fast-as-possible --output street.mp4
	@echo "demo/street.mp4 is the overlay video, demo/eval.json the table"

clean:
	rm -rf build demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
