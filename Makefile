# What can be done here; `make` alone lists it. Cargo does the building, this file knows the order.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help build test check lint unit partners newer measure bench fuzz soak deny

CARGO ?= cargo
PYTHON ?= python3
# Root needs no sudo, and a bare machine may not have it. Who is not root is asked, unless INSTALL=yes.
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
INSTALL ?= no
VENV := .venv
# The program that partners talk to. Another one is tested with `make partners AGENT=/usr/bin/neural-exporter`.
AGENT ?= target/debug/neural-exporter
# Tests that run at once. Most of them wait most of the time, so three more than there are cores.
PROCESSES ?= $(shell echo $$(( $$(nproc 2> /dev/null || echo 2) + 3 )))
# The same in Rust, where even more of it is waiting.
THREADS ?= $(shell echo $$(( $$(nproc 2> /dev/null || echo 2) * 3 )))
# It remembers in `target` what failed, for the second run of `make partners`.
PYTEST = NEURAL_EXPORTER=$(AGENT) $(VENV)/bin/python -m pytest -o cache_dir=$(CURDIR)/target/pytest
# Several servers share a machine whose speed we do not know: what failed beside others is run again by itself, and the first that
# fails there ends it. The report names what needed this; such a test is fixed, for it waits for too little or the agent is late.
ONCE_MORE = { echo "UNSTEADY OR BROKEN: what failed is run once more, with nothing beside it"; \
	$(PYTEST) --last-failed --last-failed-no-failures none --exitfirst -m "not alone" tests/partners; }
SECONDS_OF_FUZZ ?= 60
SECONDS_OF_SOAK ?= 600

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## the program as it is installed, optimised as a whole: target/dist/neural-exporter
	$(CARGO) build --profile dist --locked

.PHONY: package packages
package: build ## a Debian package of it: target/packages/*.deb
	$(PYTHON) deploy/packages/build.py

packages: .venv/ready ## the tests of the package: contents, lintian if installed, and its life under systemd; `make test` runs them, too
	$(CARGO) build --locked --bins
	$(PYTEST) tests/partners/test_packages.py

test: needs check partners ## everything that must pass; says first what it needs, and installs it

check: lint unit ## the fast part of it: formatting, lints, links, the tests in Rust; a few minutes

lint: ## formatting, lints and links in the documentation
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --quiet

# Not the examples, which lint has checked, and not the program, which has no tests of its own.
unit: ## the tests in Rust
	$(CARGO) test --locked --lib --test agent -- --test-threads=$(THREADS)

partners: .venv/ready ## programs of other people against the agent: Prometheus, socat, StatsD clients, device drivers
	$(CARGO) build --locked --bins
	$(PYTEST) -n $(PROCESSES) --dist loadfile -m "not alone" tests/partners || $(ONCE_MORE)
	$(PYTEST) -m alone tests/partners

# What Debian's testing has, beside what is installed and not in its place.
NEWER := target/newer/bin
newer: .venv/ready ## what depends on the versions of Prometheus and Alertmanager, against newer ones than are installed, and VictoriaMetrics
	$(CARGO) build --locked --bins
	@if tests/partners/newer.sh target/newer; then \
		export PATH="$(CURDIR)/$(NEWER):$$PATH"; \
		$(PYTEST) -n $(PROCESSES) --dist worksteal -m "versions and not alone" tests/partners; \
	else \
		echo "SKIPPED: there are no newer servers to be had here"; \
	fi

# promtool and a server that scrapes, a sender that is not ours, and a clock that can be set. Debian starts the server it installs; a
# policy file would be needed to forbid it, and a container has nothing that starts it.
.PHONY: programs
programs:
	@missing=(); \
	{ command -v prometheus && command -v promtool; } > /dev/null || missing+=(prometheus); \
	{ command -v prometheus-alertmanager && command -v amtool; } > /dev/null || missing+=(prometheus-alertmanager); \
	command -v prometheus-pushgateway > /dev/null || missing+=(prometheus-pushgateway); \
	command -v socat > /dev/null || missing+=(socat); \
	command -v faketime > /dev/null || missing+=(faketime); \
	command -v tmux > /dev/null || missing+=(tmux); \
	command -v chromium > /dev/null || missing+=(chromium); \
	command -v systemd-analyze > /dev/null || missing+=(systemd); \
	$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || missing+=(python3-venv); \
	if (( $${#missing[@]} )); then \
		install="$(SUDO) apt-get install -y --no-install-recommends $${missing[*]}"; \
		echo "needed from Debian's packages:"; printf '  %s\n' "$${missing[@]}"; \
		if [[ -n "$(SUDO)" && "$(INSTALL)" != yes ]]; then \
			[[ -t 0 ]] || { echo "install them: $$install"; echo "or let make do it: make $(MAKECMDGOALS) INSTALL=yes"; exit 1; }; \
			read -r -p "install them with sudo? [y/N] " answer; \
			[[ "$$answer" == [yY]* ]] || { echo "install them: $$install"; exit 1; }; \
		fi; \
		$(SUDO) apt-get update -qq; \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}"; \
	fi

# What will be installed is said before anything else runs.
.PHONY: needs
needs: programs
	@if [[ ! -e .venv/ready ]]; then \
		echo "needed from PyPI, and installed into $(VENV):"; \
		sed -n 's/^\([^# ].*\)==\(.*\)$$/  \1 \2/p' tests/partners/requirements.txt tests/partners/requirements-alone.txt; \
	fi

.venv/ready: tests/partners/requirements.txt tests/partners/requirements-alone.txt | programs
	$(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--requirement tests/partners/requirements-alone.txt
	@touch $@

SECONDS_OF_API ?= 600
.PHONY: api
api: .venv/ready ## schemathesis against the API, for SECONDS_OF_API (600)
	$(CARGO) build --locked --bins
	SCHEMATHESIS_SECONDS=$(SECONDS_OF_API) $(PYTEST) tests/partners/test_api.py -k document

measure: ## speed and memory of the whole program from outside, as the table in the README
	$(CARGO) build --profile dist --locked --bins
	$(CARGO) build --profile dist --locked --example flood --example history
	$(PYTHON) tests/bench/measure.py
	$(PYTHON) tests/bench/alerts.py
	$(PYTHON) tests/bench/alerts.py --share 120
	$(PYTHON) tests/bench/report.py
	$(PYTHON) tests/bench/spans.py
	$(PYTHON) tests/bench/writes.py

bench: ## speed of the parts
	$(CARGO) bench --locked

fuzz: ## every fuzz target for SECONDS_OF_FUZZ (60); needs cargo-fuzz and a nightly toolchain
	@command -v cargo-fuzz > /dev/null || { echo "cargo install cargo-fuzz, and rustup toolchain install nightly"; exit 1; }
	cd fuzz && for target in $$(cargo +nightly fuzz list); do \
		cargo +nightly fuzz run "$$target" -- -max_total_time=$(SECONDS_OF_FUZZ); \
	done

soak: ## 10,000 events a second, then every flood in turn, for SECONDS_OF_SOAK (600) each: CPU, and memory that must stay flat
	$(CARGO) build --profile dist --locked --bins
	$(CARGO) build --profile dist --locked --example flood
	$(PYTHON) tests/bench/measure.py --only soak --soak-seconds $(SECONDS_OF_SOAK)
	$(PYTHON) tests/bench/floods.py --seconds $(SECONDS_OF_SOAK)

KILLS ?= 1000
.PHONY: crash
crash: .venv/ready ## agents that are killed KILLS (1,000) times in all while they write: every file of theirs must be whole each time
	$(CARGO) build --locked --bins
	CRASH_KILLS=$(KILLS) $(PYTEST) -s tests/partners/test_crash.py

deny: ## licences and advisories of dependencies, if cargo-deny is installed
	@if command -v cargo-deny > /dev/null; then $(CARGO) deny check; else echo "cargo-deny is not installed: skipped"; fi
