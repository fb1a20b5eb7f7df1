# SPDX-License-Identifier: Apache-2.0
# The commands of this project; `make help` lists them. Meson does the building.
BUILD ?= build
JOBS ?= $(shell nproc)
# For `make fuzz`: the target, and how long in seconds. For `make sim`: how many seeds.
TARGET ?=
TIME ?= 60
SEEDS ?= 10000
PREFIX ?=
ARGS ?=

export TOOLS_JOBS := $(JOBS)

.NOTPARALLEL:
.PHONY: all everything help deps deps-tests deps-bench run test check bench fuzz sim reference format install clean

all: $(BUILD)/build.ninja ## build the programs into build/
	@ninja -C $(BUILD) -j $(JOBS) programs

# The programs and the tests. The folder may have been set up before the tests could be built.
everything: $(BUILD)/build.ninja
	@[ -e $(BUILD)/.tests-enabled ] || { meson configure $(BUILD) -Dtests=enabled && touch $(BUILD)/.tests-enabled; }
	@ninja -C $(BUILD) -j $(JOBS)

$(BUILD)/build.ninja:
	@meson setup $(BUILD) >$(BUILD).log 2>&1 && rm -f $(BUILD).log || \
		{ cat $(BUILD).log; rm -f $(BUILD).log; \
		echo "make: the set-up failed; scripts/install-deps installs what it needs" >&2; exit 1; }

run: deps all ## install what is missing, build, and start the proxy on 127.0.0.1:8080
	@exec $(BUILD)/sluice run $(ARGS)

test: deps-tests everything ## unit, simulated-network, fuzz-corpus and integration tests
	@scripts/run-tests --build $(BUILD) --pytest tests/scripts tests/integration $(if $(TOOLS_TOTALS),--totals $(TOOLS_TOTALS))

check: deps-tests everything ## format, layers, static analysis, and the suites under sanitizers
	@scripts/run-checks --build $(BUILD) $(if $(TOOLS_TOTALS),--totals $(TOOLS_TOTALS))

bench: deps-bench all ## benchmarks against the peers, and a report
	@if [ -x bench/run ]; then bench/run $(ARGS); \
	else echo "make: there are no benchmarks yet (bench/run)" >&2; exit 1; fi

fuzz: deps-tests ## fuzz one parser: make fuzz TARGET=<name> TIME=<seconds>
	@scripts/run-fuzz "$(TARGET)" "$(TIME)"

sim: deps-tests everything ## more fault schedules on the simulated network: make sim SEEDS=<n>
	@TOOLS_SIM_SEEDS=$(SEEDS) scripts/run-tests --build $(BUILD) --suites sim --timeout-multiplier 0

reference: deps-tests everything ## write the reference in doc/configuration.md anew from the schema
	@$(BUILD)/tests/unit/config/reference_doc --write doc/configuration.md

format: ## format the C files
	@scripts/format

install: all ## install: make install [PREFIX=/usr] [DESTDIR=/somewhere]
	@$(if $(PREFIX),meson configure $(BUILD) -Dprefix=$(PREFIX) && ninja -C $(BUILD) -j $(JOBS) programs &&) meson install -C $(BUILD) --no-rebuild

clean: ## remove everything that was built
	rm -rf build build-*

deps:
	@scripts/install-deps
deps-tests:
	@scripts/install-deps --tests
deps-bench:
	@scripts/install-deps --bench

# What a build needs comes before it whenever a goal asks for both.
all everything $(BUILD)/build.ninja: | $(filter deps deps-tests deps-bench,$(foreach g,$(MAKECMDGOALS),\
	$(if $(filter run,$g),deps) $(if $(filter test check sim,$g),deps-tests) $(if $(filter bench,$g),deps-bench)))

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12
