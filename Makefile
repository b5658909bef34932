# Everything is a script under scripts/ once it needs more than a few lines, so that it can be read, run and checked on its own.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

.PHONY: help setup run pages test check bench pictures package fuzz clean-demo

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/' | expand -t 20

setup: ## install what run, test and package need and this machine lacks (Debian 12 with Rust)
	@scripts/setup.sh all

run: ## the demo: pages, broker, daemon, a simulated community (MQTT_PORT=, HTTP_PORT=, HISTORY=days, SPEED=, SEED=)
	@scripts/run-demo.sh

pages: ## the office pages, as far as they have changed (dashboards/office/dist)
	@scripts/pages.sh

test: ## everything that CI runs, with the time each step took
	@scripts/ci.sh all

check: ## the fast part of it: format, lints, purity of the domain
	@scripts/ci.sh fast

bench: ## the figures of docs/performance.md, measured here
	@scripts/bench.sh

pictures: ## the README's pictures, taken in a browser (docs/pictures)
	@scripts/pictures.sh

package: ## target/debian/heyun_*.deb
	@scripts/package.sh

fuzz: ## every fuzz target for a minute each (FUZZ_SECONDS=); each decoder alone (FUZZ_EACH=)
	@scripts/fuzz.sh

clean-demo: ## forget what `make run` stored
	@rm -rf target/demo target/demo-* && echo "target/demo is gone"
