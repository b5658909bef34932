#!/usr/bin/env bash
# Every target under fuzz/ for FUZZ_SECONDS (60), then every decoder alone for FUZZ_EACH seconds (0: not). Needs a nightly compiler and cargo-fuzz: a
# job of its own, not a part of `make test`.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

[ -f fuzz/Cargo.toml ] || fail "there are no fuzz targets yet (fuzz/Cargo.toml)"
cargo +nightly --version >/dev/null 2>&1 || fail "a nightly compiler is missing" "with rustup: rustup toolchain install nightly"
have cargo-fuzz || fail "cargo-fuzz is missing" "cargo install cargo-fuzz --locked"

for file in fuzz/fuzz_targets/*.rs; do
    target=$(basename "$file" .rs)
    say "fuzzing $target for ${FUZZ_SECONDS:-60} s"
    options=(-max_total_time="${FUZZ_SECONDS:-60}")
    if [ -f "fuzz/$target.dict" ]; then options+=(-dict="fuzz/$target.dict"); fi
    cargo +nightly fuzz run "$target" -- "${options[@]}"
done

if [ "${FUZZ_EACH:-0}" -gt 0 ]; then
    for file in config/devices/*.toml keys home-assistant; do
        name=$(basename "$file" .toml)
        say "fuzzing the decoder $name alone for $FUZZ_EACH s"
        HEYUN_FUZZ=$name cargo +nightly fuzz run decode -- -max_total_time="$FUZZ_EACH" -dict=fuzz/decode.dict
    done
fi
