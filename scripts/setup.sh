#!/usr/bin/env bash
# Sets up all that is missing: system packages, the release build, models and media. Run it again as often as you like.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n== %s\n' "$*"; }

missing_packages() {
    local package
    while read -r package; do
        [[ -z $package || $package == '#'* ]] && continue
        dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || echo "$package"
    done < packages.debian.txt
}

say "System packages"
if ! command -v dpkg-query >/dev/null; then
    echo "This is no Debian or Ubuntu. Install what packages.debian.txt lists in your system's way, then: cargo build --release"
    exit 1
fi
mapfile -t packages < <(missing_packages)
# pip may have come with another Python than Debian's.
if python3 -m pip --version >/dev/null 2>&1; then
    mapfile -t packages < <(printf '%s\n' "${packages[@]}" | grep -vxE 'python3|python3-pip' || true)
fi
if [[ ${#packages[@]} -gt 0 && -n ${packages[0]} ]]; then
    apt=(apt-get install -y --no-install-recommends "${packages[@]}")
    if [[ $(id -u) == 0 ]]; then
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive "${apt[@]}"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo apt-get update -qq && sudo DEBIAN_FRONTEND=noninteractive "${apt[@]}"
    else
        printf 'Missing, and apt needs root. Run this, then try again:\n\n  sudo apt-get update && sudo %s\n' "${apt[*]}"
        exit 1
    fi
else
    echo "all there"
fi

say "Rust"
if ! command -v cargo >/dev/null; then
    echo "No cargo. Install Rust 1.92 or newer with rustup (https://rustup.rs), then try again."
    exit 1
fi
cargo --version

say "Build (ten minutes or so on two cores from nothing, seconds after that)"
cargo build --release --workspace

say "Models and media"
target/release/ferroflow models fetch
