#!/usr/bin/env bash
# The store against VictoriaMetrics over the same rows in the same run: bytes, memory, questions over HTTP. About fifteen minutes and 3 GB of
# disk for a year at 15 minutes and 70 days at a minute; --days 20 tries it small, --parts year,queries,jittered takes some of it.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

load=../shared/tools/mqttload
[ -f "$load/Cargo.toml" ] || fail "no load tool at $load" "the year is made by it, for us and for VictoriaMetrics alike"
have python3 || fail "python3 is missing" "apt-get install python3"
have victoria-metrics || fail "victoria-metrics is missing" "apt-get install victoria-metrics" "it is started here on a port and a folder of its own; as a service it is not needed: systemctl disable --now victoria-metrics"
scripts/setup.sh run

say "building the daemon and the load tool (release)"
cargo build --release --locked --bin heyun </dev/null
cargo build --release --locked --manifest-path "$load/Cargo.toml" --target-dir target/tools/mqttload </dev/null

exec python3 scripts/bench_store.py --heyun "$CARGO_TARGET_DIR/release/heyun" --mqttload target/tools/mqttload/release/mqttload "$@"
