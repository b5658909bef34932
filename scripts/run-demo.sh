#!/usr/bin/env bash
# `make run`: a broker of our own and the daemon, both on the loopback, both ended by Ctrl-C. What they store is under target/demo
# (target/demo-PORT when moved) and is wiped at the next start.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

config=config/demo.toml
demo=target/demo
# The ports that config/demo.toml names.
demo_mqtt=18830
demo_http=$(sed -nE 's/^[[:space:]]*(listen|bind|address)[[:space:]]*=[[:space:]]*"127\.0\.0\.1:([0-9]+)".*/\2/p' "$config" | head -n 1)
[ -n "$demo_http" ] || fail "$config names no address of the form listen = \"127.0.0.1:PORT\" for the pages"
mqtt=${MQTT_PORT:-$demo_mqtt}
http=${HTTP_PORT:-$demo_http}
# Moved to other ports it is a second demo, which must not wipe the first one's store.
moved=''
if [ "$mqtt" != "$demo_mqtt" ] || [ "$http" != "$demo_http" ]; then
    moved=yes
    demo=target/demo-$mqtt
fi

# must_be_free PORT WHAT VARIABLE
must_be_free() {
    port_taken "$1" || return 0
    local owner
    owner=$(port_owner "$1")
    fail "port $1 of 127.0.0.1 is taken, and the demo's $2 needs it" \
        "by: ${owner:-somebody whom this user may not see}" \
        "most likely an earlier \`make run\` in another window: end that one with Ctrl-C," \
        "or take another port:  make run $3=$(free_port $(($1 + 1)))"
}

scripts/setup.sh run
must_be_free "$mqtt" broker MQTT_PORT
must_be_free "$http" "web server" HTTP_PORT

say "building the daemon (release)"
cargo build --release --locked --bin heyun </dev/null

rm -rf "$demo"
mkdir -p "$demo"

# The shipped file as it is; only where it listens and where it keeps its state is ours.
broker_config=$demo/mosquitto.conf
sed -E "s/^listener .*/listener $mqtt 127.0.0.1/" config/mosquitto.conf >"$broker_config"
echo "persistence_location $PWD/$demo/" >>"$broker_config"
# Started by root, mosquitto would change to a user that may not write here.
if [ "$(id -u)" = 0 ]; then echo "user root" >>"$broker_config"; fi

if [ -n "$moved" ]; then
    sed -E "s/127\.0\.0\.1:$demo_mqtt/127.0.0.1:$mqtt/g; s/127\.0\.0\.1:$demo_http/127.0.0.1:$http/g; s#target/demo/#$demo/#g" \
        "$config" >"$demo/heyun.toml"
    config=$demo/heyun.toml
fi

BROKER='' DAEMON='' stopping=''
# Ctrl-C reaches this script alone (both children have sessions of their own): each gets one signal, the daemon first, because it still
# has something to tell the broker.
stop() {
    local status=$?
    [ -z "$stopping" ] || return
    stopping=yes
    trap '' INT TERM
    if [ -n "$DAEMON" ]; then stop_process "$DAEMON" 10; fi
    if [ -n "$BROKER" ]; then stop_process "$BROKER" 5; fi
    exit "$status"
}
trap stop EXIT
trap 'echo; say "stopping"; exit 0' INT TERM HUP

start_broker "$broker_config" "$mqtt" "$demo/mosquitto.log"
say "broker on 127.0.0.1:$mqtt (log: $demo/mosquitto.log)"

setsid setpriv --pdeathsig TERM "$CARGO_TARGET_DIR/release/heyun" run --config "$config" &
DAEMON=$!
for _ in $(seq 200); do
    if port_taken "$http"; then
        say "heyun on http://127.0.0.1:$http/ — Ctrl-C ends both"
        break
    fi
    kill -0 "$DAEMON" 2>/dev/null || break
    sleep 0.05
done

status=0
wait "$DAEMON" || status=$?
DAEMON=''
fail "the daemon ended by itself (exit $status)" "its last words are above"
