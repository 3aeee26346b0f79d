# `make demo` sets up what is missing and reads the expressions in three short real videos.
# `make test` sets up what is missing and runs all the tests.
.PHONY: demo test setup check deb gpu-check help

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: setup ## set up, then read the expressions in three real videos: demo/index.html
	target/release/ferroflow run demo

test: setup ## set up, then run all the tests
	cargo test --release --workspace

setup: ## system packages, build, models and media
	@scripts/setup.sh

check: ## format and lints
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets -- -D warnings

deb: setup ## pack a Debian package, with the elements for gst-launch-1.0: target/debian
	@scripts/deb.sh

gpu-check: setup ## pack a program that checks all CUDA code, for a CUDA machine: target/gpu-check
	@scripts/gpu-check.sh
