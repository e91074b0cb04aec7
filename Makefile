# Everything that a contributor types. Each target does its own set-up; the first run builds a Kubernetes (minutes),
# later ones find it in .cache/.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
LINT := fmt clippy doc product deny generated chart
.PHONY: help build test versions unit lint $(LINT) generate chart-readme scan demo cluster cluster-down bench image deps clean
.PHONY: recording advisories sbom release-check windows fuzz soak matrix matrix-docs samples-docs gitops docs traces dashboard

GROUND := tests/cluster/ground
WINDOWS := x86_64-pc-windows-gnu
DENY := .cache/tools/bin/cargo-deny
MDBOOK := .cache/docs-tools/bin/mdbook
SYFT := .cache/release-tools/bin/syft
SBOM := target/keyturn.cdx.json
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
CHECKOV := .cache/scan-tools/bin/checkov
HELM_DOCS := --chart-search-root charts/keyturn --sort-values-order file --log-level warning
IMAGE ?= keyturn:dev
IMAGE_FLAGS ?=
FUZZ := .cache/fuzz-tools/bin/cargo-fuzz
FUZZ_VERSION := 0.13.2
FUZZ_SECONDS := 60
SOAK_SEED := 1
SOAK_SEEDS := 1
SOAK_CONFIGS := 200
SOAK_DAYS := 365
STORM_CONFIGS := 600
FUZZ_TARGETS := $(patsubst fuzz/fuzz_targets/%.rs,%,$(wildcard fuzz/fuzz_targets/*.rs))

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

build: ## the programs keyturn and keyturn-endpoint, for release
	cargo build --release --locked

test: ## everything that this machine can test, counted
	tests/run

# VERSIONS names some of them: make versions VERSIONS="1.33 1.34".
versions: ## the real world on every version of Kubernetes that keyturn promises, one after the other
	tests/run --versions $(VERSIONS)

unit: ## the tests that need cargo only: units and the simulated world
	cargo test --locked

lint: $(LINT) ## format, clippy, licences and sources of dependencies, drift of generated files, the chart

fmt:
	cargo fmt --check

clippy:
	cargo clippy --locked --all-targets -- -D warnings

# There are no examples of Cargo's kind. Because they are asked for, Cargo unites features as it does for tests, and
# what clippy has checked of the dependencies is used again.
doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items --quiet --lib --examples

# Without the features that only tests ask for: as it is released.
product:
	cargo check --locked --quiet --bins

deny: $(DENY)
	$(DENY) --log-level error check bans licenses sources

generated:
	cargo test --locked --quiet --test worlds -- generated::

chart: ## the chart: helm lint, the tests of its templates (helm-unittest), and whether its README fits values.yaml
	$(GROUND) build helm helm-unittest helm-docs
	for values in charts/keyturn/ci/*.yaml; do "$$($(GROUND) which helm)" lint --strict --quiet -f $$values charts/keyturn; done
	"$$($(GROUND) which helm-unittest)" --strict charts/keyturn
	"$$($(GROUND) which helm-docs)" $(HELM_DOCS) --dry-run | diff - charts/keyturn/README.md \
	  || { echo "charts/keyturn/README.md is out of date: run make chart-readme"; exit 1; }
	! grep -n '^| .* |  |$$' charts/keyturn/README.md || { echo "these values have no description in values.yaml"; exit 1; }

# Of these 96 packages nothing else needs one.
scan: $(CHECKOV) ## what checkov finds in the chart: docs/security.md explains each finding (needs the internet at first)
	$(GROUND) build helm
	tests/scan

traces: ## the OpenTelemetry Collector itself takes the operator's spans (minutes at first, to build it)
	$(GROUND) build
	$(GROUND) build otelcol
	cargo test --locked --quiet --test worlds -- --include-ignored collector::

chart-readme: ## charts/keyturn/README.md, from README.md.gotmpl and values.yaml beside it
	$(GROUND) build helm-docs
	"$$($(GROUND) which helm-docs)" $(HELM_DOCS)

generate: chart-readme ## charts/keyturn/files/crds/ (crds is a link to it), docs/reference.md and the chart's README
	cargo run --locked --quiet -- crds --dir charts/keyturn/files/crds
	cargo run --locked --quiet -- reference > docs/reference.md

samples-docs: ## docs/samples.md, from the table of the tests
	KEYTURN_WRITE_PAGES=1 cargo test --locked --quiet --test worlds -- generated::the_page_of_samples

dashboard: ## docs/dashboard.svg: what the panels show of a run of some minutes on a real control plane
	$(GROUND) build
	cargo build --locked --bins --quiet
	KEYTURN_WRITE_PAGES=1 cargo test --locked --quiet --test worlds -- --include-ignored real::dashboard

gitops: ## tests/worlds/gitops/: the objects that GitOps controllers are tried with
	KEYTURN_WRITE_PAGES=1 cargo test --locked --quiet --test worlds -- simulated::gitops

docs: $(MDBOOK) ## the documentation as a book with search, in target/book, and whether its links lead somewhere
	tests/book

recording: ## docs/demo.svg, a picture of what a run of the demo prints
	tests/recording

demo: ## the main job, shown on a Kubernetes and an AWS of its own (or on yours: make demo KUBECONFIG=...)
	examples/demo

cluster: ## a Kubernetes and an AWS, left running to try things on
	$(GROUND) start --crds crds

cluster-down: ## ends it
	$(GROUND) stop

bench: ## the figures of docs/performance.md: a table, target/bench.json, and the growth in docs/growth.svg
	$(GROUND) build
	cargo build --release --locked
	cargo bench --locked --bench cost -- --json target/bench.json
	cargo bench --locked --bench cost -- --only cold,latency,memory --sizes 100,1000,10000 \
		--json target/growth.json --svg docs/growth.svg

windows: ## the plugin for Windows, compiled (rustup target add $(WINDOWS); Debian: gcc-mingw-w64-x86-64, nasm)
	cargo build --locked --bin keyturn --target $(WINDOWS)

advisories: $(DENY) ## known vulnerabilities of dependencies, and yanked versions (needs the internet)
	$(DENY) --log-level error check advisories

# syft reads the lock file of the folder, which names also what only tests use.
sbom: $(SYFT) ## the list of all dependencies, in target/keyturn.cdx.json (CycloneDX)
	mkdir -p $(dir $(SBOM))
	SYFT_CHECK_FOR_APP_UPDATE=false $(SYFT) scan --quiet file:Cargo.lock --source-name keyturn \
	  --source-version "$(VERSION)" --output cyclonedx-json=$(SBOM)

release-check: advisories sbom ## what a release needs besides .ci/run (needs the internet), and whether all files name its version
	.github/release versions --tag "v$(VERSION)"

# The inputs that libFuzzer finds useful are kept in target/fuzz/found; it reads those of fuzz/corpus too. Without a
# sanitizer, because that needs no nightly compiler, and the code has no unsafe.
fuzz: $(FUZZ) ## each fuzz target for FUZZ_SECONDS (60); FUZZ_TARGETS names some of them (docs/testing.md)
	$(FUZZ) build --sanitizer none --target-dir target/fuzz
	for target in $(FUZZ_TARGETS); do \
	  mkdir -p target/fuzz/found/$$target; \
	  $(FUZZ) run --sanitizer none --target-dir target/fuzz $$target target/fuzz/found/$$target fuzz/corpus/$$target \
	    -- -max_total_time=$(FUZZ_SECONDS) -max_len=8192 -timeout=10 -dict=fuzz/words.dict -print_final_stats=1 || { \
	    echo "fuzz: a finding of $$target. The same again: $(FUZZ) run --sanitizer none --target-dir target/fuzz $$target INPUT,"; \
	    echo "with an INPUT of fuzz/artifacts/$$target. Copied into fuzz/corpus/$$target, cargo test --lib fuzzing:: shows it"; \
	    exit 1; }; \
	done

# SOAK_SEED is the first history, SOAK_SEEDS their number, SOAK_CONFIGS and SOAK_DAYS their size; STORM_CONFIGS is the
# size of the storm (docs/testing.md).
soak: ## a year of random faults with 200 configs in the simulated world, and a storm of renewals on a real control plane
	$(GROUND) build
	cargo build --locked --bins --quiet
	STORM_CONFIGS=$(STORM_CONFIGS) cargo test --locked --quiet --test worlds -- --include-ignored --nocapture real::storm
	SOAK_SEED=$(SOAK_SEED) SOAK_SEEDS=$(SOAK_SEEDS) SOAK_CONFIGS=$(SOAK_CONFIGS) SOAK_DAYS=$(SOAK_DAYS) \
	  cargo test --locked --quiet --test worlds -- --nocapture simulated::soak

matrix: ## real AWS clients in injected pods: never another identity (20 minutes; root, Node, Go, Java)
	tests/matrix/run

matrix-docs: ## the same, and its tables are written into docs/pods.md
	tests/matrix/run --write

# IMAGE_FLAGS are further arguments of the builder, such as --platform linux/arm64.
image: ## the container image IMAGE (keyturn:dev), by docker or buildah
	$$(command -v docker || echo buildah) build -t $(IMAGE) $(IMAGE_FLAGS) .

deps: ## what pods need on this machine (Debian, as root; nothing is done elsewhere, or where all is there)
	tests/deps

clean: ## removes what was built, the ground included
	rm -rf target .cache

$(DENY): tests/tools.txt
	python3 -m venv .cache/tools
	.cache/tools/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement $<
	touch $@

$(FUZZ):
	cargo install --quiet --locked --version $(FUZZ_VERSION) --root .cache/fuzz-tools cargo-fuzz

$(CHECKOV): tests/scan-tools.txt
	python3 -m venv .cache/scan-tools
	.cache/scan-tools/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement $<
	touch $@

$(MDBOOK): tests/docs-tools.txt
	python3 -m venv .cache/docs-tools
	.cache/docs-tools/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement $<
	touch $@

$(SYFT): tests/release-tools.txt
	python3 -m venv .cache/release-tools
	.cache/release-tools/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement $<
	touch $@
