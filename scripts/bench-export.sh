#!/usr/bin/env bash
# The speed and the memory of `heyun export` against `sqlite3 -csv` in the same run; about two minutes (--fresh fills its store anew).
set -euo pipefail
source "$(dirname "$0")/lib.sh"

load=../shared/tools/mqttload
[ -f "$load/Cargo.toml" ] || fail "no load tool at $load" "the store is filled with it, through a broker"
have python3 || fail "python3 is missing" "apt-get install python3"
have sqlite3 || fail "sqlite3 is missing" "apt-get install sqlite3"
scripts/setup.sh run

say "building the program and the load tool (release)"
cargo build --release --locked --bin heyun </dev/null
cargo build --release --locked --manifest-path "$load/Cargo.toml" --target-dir target/tools/mqttload </dev/null

exec python3 scripts/bench_export.py --heyun "$CARGO_TARGET_DIR/release/heyun" --mqttload target/tools/mqttload/release/mqttload "$@"
