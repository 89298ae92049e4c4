# `make` lists the targets. Each does its whole set-up; the only needs are Python >= 3.11, a C++17
# compiler and a package index.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ENCODER := .cache/encoder
DEMO := .demo
# More processes than the smallest machines have cores: many tests wait for servers and children.
IN_PARALLEL := --numprocesses 3 --dist worksteal
# matplotlib of the lowest version calls what a later pyparsing warns about.
OF_THAT_TIME := "pyparsing<3.3"
CPP_SOURCES = $(shell find src/cpp tests/cpp bench/cpp -name "*.cpp" -o -name "*.hpp")
# Where CMake finds pybind11: inside the virtual environment.
CMAKE_FLAGS = -Dpybind11_DIR="$$($(BIN)/python -m pybind11 --cmakedir)" \
              -DPython_EXECUTABLE="$(abspath $(BIN)/python)"

.PHONY: help setup encoder demo test build-cpp test-cpp test-python lint format tidy bench roofline \
        asan tsan ray serve trainers docs without-avx arm64 wheel lowest clean

help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | \
	  awk -F ':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'

$(VENV)/.tools: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --group build --group test --group lint build
	touch $@

# The package is installed once and built again whenever a source is newer.
$(VENV)/.package: $(VENV)/.tools CMakeLists.txt $(shell find src/cpp -type f)
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable . \
	  --config-settings=cmake.define.DS2FAST_WERROR=ON
	touch $@

$(ENCODER)/model.safetensors: scripts/fetch_encoder.py | $(VENV)/.tools
	$(BIN)/python scripts/fetch_encoder.py $(ENCODER)

setup: $(VENV)/.package  ## virtual environment, build and install, ready to work on

encoder: $(ENCODER)/model.safetensors  ## the real sentence encoder that demo and tests run

demo: setup encoder  ## the main job on a pool of our own: write, embed, select, judge
	$(BIN)/python examples/demo.py --encoder $(ENCODER) --output $(DEMO)

test: test-cpp test-python ray  ## all tests

build-cpp: $(VENV)/.tools
	PATH="$(abspath $(BIN)):$$PATH" cmake --preset dev
	PATH="$(abspath $(BIN)):$$PATH" cmake --build --preset dev

test-cpp: build-cpp
	PATH="$(abspath $(BIN)):$$PATH" ctest --preset dev

test-python: setup encoder
	$(BIN)/python -m pytest $(IN_PARALLEL) -m "not ray" --cov --cov-report=term:skip-covered \
	  --cov-fail-under=90

ray: setup  ## the stages on clusters of this machine's own, with nodes that are killed
	$(BIN)/python -m pytest -m ray tests/test_ray.py

lint: setup  ## ruff, mypy --strict, clang-format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(CPP_SOURCES)

format: $(VENV)/.tools  ## put Python and C++ into the house's form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CPP_SOURCES)

tidy: $(VENV)/.tools  ## clang-tidy over src/cpp (some minutes)
	$(BIN)/python -m pip install --quiet --group tidy
	PATH="$(abspath $(BIN)):$$PATH" cmake --preset tidy $(CMAKE_FLAGS)
	find src/cpp -name '*.cpp' | sort | \
	  xargs -n 1 -P "$$(getconf _NPROCESSORS_ONLN)" $(BIN)/clang-tidy -quiet -p build/tidy

serve: setup  ## ratings by transformers serve, a server not of our own, random (installs torch)
	$(PYTHON) -m venv build/serve
	build/serve/bin/python -m pip install --quiet torch==2.13.0 "transformers[serving]==5.23.0"
	DS2FAST_SERVE_PYTHON="$(abspath build/serve/bin/python)" \
	  $(BIN)/python -m pytest -m serve tests/test_rating_independent.py

trainers: setup  ## the trainers' own loaders take our files (installs torch)
	$(PYTHON) -m venv build/trainers
	build/trainers/bin/python -m pip install --quiet torch==2.13.0 trl==1.16.0 datasets==5.2.0 \
	  transformers==5.23.0 peft omegaconf pydantic jinja2 fire accelerate pillow colorama av einops \
	  scipy sentencepiece tiktoken protobuf pandas addict requests typer python-dotenv orjson posthog \
	  numba
	build/trainers/bin/python -m pip install --quiet --no-deps llamafactory==0.9.5 axolotl==0.19.0
	DS2FAST_TRAINERS_PYTHON="$(abspath build/trainers/bin/python)" \
	  $(BIN)/python -m pytest -m trainers tests/test_trainers_real.py

build/docs/.tools: pyproject.toml
	$(PYTHON) -m venv build/docs
	build/docs/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	build/docs/bin/python -m pip install --quiet --group docs
	touch $@

docs: build/docs/.tools  ## the documentation in build/site, its links checked
	PYTHONPATH=python NO_MKDOCS_2_WARNING=1 build/docs/bin/mkdocs build --strict
	build/docs/bin/python scripts/check_site.py build/site

bench: setup  ## native stages against plain NumPy on 20 000 rows
	$(BIN)/ds2fast bench -n 20000

roofline: setup  ## peaks of this processor, and what the k-NN search reaches of them
	$(BIN)/python bench/roofline.py --synthetic

asan: setup encoder  ## C++ tests and the tests of the extension under ASan and UBSan
	PATH="$(abspath $(BIN)):$$PATH" cmake --preset asan $(CMAKE_FLAGS)
	PATH="$(abspath $(BIN)):$$PATH" cmake --build --preset asan
	PATH="$(abspath $(BIN)):$$PATH" ctest --preset asan
	scripts/asan_pytest.sh $(BIN)/python build/asan $(IN_PARALLEL)

tsan: $(VENV)/.tools  ## C++ tests under TSan
	PATH="$(abspath $(BIN)):$$PATH" cmake --preset tsan
	PATH="$(abspath $(BIN)):$$PATH" cmake --build --preset tsan
	PATH="$(abspath $(BIN)):$$PATH" ctest --preset tsan

without-avx: setup  ## under qemu on a processor without AVX (needs qemu-user)
	PATH="$(abspath $(BIN)):$$PATH" cmake --preset portable $(CMAKE_FLAGS)
	PATH="$(abspath $(BIN)):$$PATH" cmake --build --preset portable
	scripts/without_avx.sh $(BIN)/python

arm64: build-cpp  ## C++ tests for arm64 under qemu (needs g++-aarch64-linux-gnu, qemu-user)
	PATH="$(abspath $(BIN)):$$PATH" scripts/arm64_tests.sh

wheel: $(VENV)/.tools  ## an sdist and a wheel in dist/, the wheel tried in an empty environment
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	scripts/try_wheel.sh dist $(BIN)/python

lowest: $(VENV)/.tools encoder  ## the Python tests with the lowest versions that pyproject.toml allows
	$(BIN)/python -m venv --clear build/lowest
	$(BIN)/python scripts/lowest_versions.py pyproject.toml > build/lowest/lowest.txt
	build/lowest/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	build/lowest/bin/python -m pip install --quiet --requirement build/lowest/lowest.txt \
	  --group test $(OF_THAT_TIME) .
	build/lowest/bin/python -m pytest $(IN_PARALLEL)

clean:  ## remove what the other targets made
	rm -rf $(VENV) $(DEMO) build dist .cache
