#!/usr/bin/env bash
# `make bench`: the figures of docs/performance.md, measured here against bare loops in the same run. Everything on the loopback,
# everything bounded; about eight minutes with the year (--quick leaves it out).
set -euo pipefail
source "$(dirname "$0")/lib.sh"

load=../shared/tools/mqttload
[ -f "$load/Cargo.toml" ] || fail "no load tool at $load" "the limits are measured with its bare loops; without them a figure means nothing"
have python3 || fail "python3 is missing" "apt-get install python3"
scripts/setup.sh run

say "building the daemon and the load tool (release)"
cargo build --release --locked --bin heyun </dev/null
cargo build --release --locked --manifest-path "$load/Cargo.toml" --target-dir target/tools/mqttload </dev/null

exec python3 scripts/bench.py --heyun "$CARGO_TARGET_DIR/release/heyun" --mqttload target/tools/mqttload/release/mqttload "$@"
