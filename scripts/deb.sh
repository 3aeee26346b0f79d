#!/usr/bin/env bash
# Packs a Debian package: program, elements for gst-launch-1.0, completions, documents. It fits the release of Debian or Ubuntu it was made on.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ $(dpkg --print-architecture) != amd64 ]]; then
    echo "Only packed for amd64 so far: Cargo.toml names that architecture's folder of libraries under [package.metadata.deb]." >&2
    exit 1
fi
if ! command -v cargo-deb >/dev/null; then
    cargo install cargo-deb --version '^3' --locked
fi
completions=target/completions
mkdir -p "$completions"
target/release/ferroflow completions bash > "$completions/ferroflow.bash"
target/release/ferroflow completions zsh > "$completions/_ferroflow"
target/release/ferroflow completions fish > "$completions/ferroflow.fish"
package=$(cargo deb --no-build --quiet)
printf '\nInstall it with\n\n  sudo apt install %s && ferroflow models fetch\n' "$package"
