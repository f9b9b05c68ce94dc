# What one can do here. `make` alone says it.

DENO := node_modules/deno/deno
BUN := node_modules/bun/bin/bun.exe
INSTALLED := node_modules/.package-lock.json
BULLMQ := bench/bullmq/node_modules/.package-lock.json

.DEFAULT_GOAL := help

help: ## Say what one can do here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Install what the checkout needs, Deno and Bun too (all targets do so)

demo: $(INSTALLED) ## Run real tasks on a real worker, with nothing but this checkout
	@$(DENO) run -A --no-check examples/demo.ts

demo-timers: $(INSTALLED) ## Show timers: a countdown, and one that is called off (make demo-timers BROKER=amqp://localhost)
	@$(DENO) run -A --no-check examples/demo_timers.ts $(BROKER)

test: $(INSTALLED) ## Run every test on Deno and on Bun (make test ONLY=bun, make test FILES="redis cli")
	@$(DENO) run -A --no-check tests/run.ts $(if $(ONLY),--only $(ONLY)) $(if $(JOBS),--jobs $(JOBS)) $(FILES)

check: $(INSTALLED) ## Check format, lint, types (Deno's and tsc's), docs, and who may import whom
	$(DENO) fmt --check
	$(DENO) lint
	$(DENO) check --quiet $(wildcard mod.ts runtime tasks tests examples bench)
	node_modules/.bin/tsc
	$(DENO) doc --quiet --lint mod.ts runtime/testing.ts
	$(BUN) test ./tests/repo

build: $(INSTALLED) ## Make dist/celeriac, one executable file that needs nothing else installed
	@$(BUN) --no-env-file runtime/main.ts compile -o dist/celeriac

build-deno: $(INSTALLED) ## Make dist/celeriac-deno, the same by Deno, with the tasks of tasks/ inside
	@$(DENO) run -A runtime/main.ts compile -A tasks -o dist/celeriac-deno

bench: $(INSTALLED) $(BULLMQ) ## Measure speed beside Celery and BullMQ, write bench/README.md (make bench QUICK=1, ONLY=redis_drain)
	@$(DENO) run -A --no-check bench/main.ts $(if $(QUICK),--quick) $(if $(RESUME),--resume) $(ONLY)

dev: $(INSTALLED) ## Run a worker on tasks/ that takes up every change to them at once
	@$(DENO) run -A --no-check examples/dev.ts

package: $(INSTALLED) ## Build the npm package, dist/celeriac-VERSION.tgz
	@mkdir -p dist
	npm pack --silent --pack-destination dist

fmt: $(INSTALLED) ## Format all files
	$(DENO) fmt

# The two runtimes come as npm packages; their programs are put in place by install scripts, which npm may have been
# told not to run, here or by hand before.
SOUND := $(shell test -x $(DENO) && $(BUN) --version >/dev/null 2>&1 && echo yes)
$(INSTALLED): package-lock.json $(if $(SOUND),,FORCE)
	npm ci --no-fund --no-audit --loglevel=error
	@test -x $(DENO) || node node_modules/deno/install.cjs
	@$(BUN) --version >/dev/null 2>&1 || node node_modules/bun/install.js
	@touch $@

FORCE:

# A peer of the bench, which nothing else needs.
$(BULLMQ): bench/bullmq/package-lock.json
	npm ci --no-fund --no-audit --loglevel=error --prefix bench/bullmq
	@touch $@

.PHONY: help install demo demo-timers test check build build-deno bench dev package fmt
