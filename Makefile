# Slipway: everything a person types. The work itself is done by tools/setup.sh (what to
# install), Meson and Ninja (how to build) and tools/run_tests.sh (how to test).

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup build demo test faults bench bench-tracking fuzz format clean

help: ## this list
	@echo "Slipway: the targets of this Makefile"
	@awk -F' ## ' '/^[a-z-]+:.* ## / { sub(/:.*/, "", $$1); printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what building needs (Debian packages, prebuilt engines in .deps)
	@tools/setup.sh build

build: setup ## build the server: build/slipway
	@[ -e build/build.ninja ] || meson setup build --buildtype=release
	@ninja -C build

demo: build ## build, start and show a first model from data to prediction
	@python3 tools/demo.py --bin build/slipway

test: ## everything that is tested, with address and undefined-behaviour sanitizers
	@tools/setup.sh test
	@[ -e build/build.ninja ] || meson setup build --buildtype=release
	@ninja -C build
	@[ -e build-test/build.ninja ] || meson setup build-test -Dbuildtype=debugoptimized -Db_sanitize=address,undefined
	@ninja -C build-test
	@tools/run_tests.sh

faults: build ## kill -9 a thousand times under load; a disk that fails at each fifth call (half an hour; EVERY=1: each)
	@tools/setup.sh test
	@.deps/test-venv/bin/python tests/faults/kill_loop.py --kills $(or $(KILLS),1000) $(if $(SEED),--seed $(SEED))
	@.deps/test-venv/bin/python tests/faults/disk_loop.py --every $(or $(EVERY),5)

bench: build ## measure speed and memory of the release build
	@tools/setup.sh test
	@tests/bench/run.sh

bench-tracking: build ## measure tracking against MLflow's own server
	@tools/setup.sh test
	@tests/bench/run.sh tracking

fuzz: ## feed the parsers broken input (Clang, libFuzzer)
	@tools/setup.sh fuzz
	@tools/fuzz.sh

format: ## format all C code with clang-format
	@find $(wildcard src engines tests) -name '*.[ch]' -exec clang-format -i {} +

clean: ## delete what was built; downloads in .deps stay (rm -rf .deps for those too)
	rm -rf build build-test build-tsan build-fuzz
