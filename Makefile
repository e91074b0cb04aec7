# Everything that a contributor types. Each target does its own set-up; the first run builds a Kubernetes (minutes),
# later ones find it in .cache/.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help build test unit lint generate demo cluster cluster-down bench image clean

GROUND := tests/cluster/ground
HELM := .cache/cluster/bin/helm
DENY_VERSION := 0.20.2
DENY := .cache/tools/bin/cargo-deny

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

build: ## the keyturn binary, for release
	cargo build --release --locked

test: ## everything that this machine can test, counted
	tests/run

unit: ## the tests that need cargo only: units and the simulated world
	cargo test --locked

lint: $(DENY) ## format, clippy, licences and sources of dependencies, drift of generated files, the chart
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items --quiet
	$(DENY) --log-level error check bans licenses sources
	cargo test --locked --quiet --test worlds -- generated::
	$(GROUND) build helm
	for values in charts/keyturn/ci/*.yaml; do $(HELM) lint --strict --quiet -f $$values charts/keyturn; done

generate: ## charts/keyturn/files/crds/ (crds is a link to it) and docs/reference.md, from src/api
	cargo run --locked --quiet -- crds --dir charts/keyturn/files/crds
	cargo run --locked --quiet -- reference > docs/reference.md

demo: ## the main job, shown on a Kubernetes and an AWS of its own (or on yours: make demo KUBECONFIG=...)
	examples/demo

cluster: ## a Kubernetes and an AWS, left running to try things on
	$(GROUND) start --crds crds

cluster-down: ## ends it
	$(GROUND) stop

bench: ## the figures of docs/performance.md
	$(GROUND) build
	cargo build --release --locked
	cargo bench --locked --bench cost

image: ## the container image, by docker or buildah
	$$(command -v docker || echo buildah) build -t keyturn:dev .

clean: ## removes what was built, the ground included
	rm -rf target .cache

$(DENY):
	cargo install --locked --quiet --version $(DENY_VERSION) --root .cache/tools cargo-deny
