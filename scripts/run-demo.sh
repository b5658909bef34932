#!/usr/bin/env bash
# `make run`: the pages, a broker of our own, the daemon and the simulator, all on the loopback, all ended by Ctrl-C. What they store is
# under target/demo (target/demo-PORT when moved) and is wiped at the next start.
#   HISTORY=28   days of history      SPEED=1   live so many times as fast as time      SEED=1   another community
#   MQTT_PORT=18830  HTTP_PORT=8480   where another one runs already
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

scripts/pages.sh
say "building the daemon (minutes the first time, seconds later)"
cargo build --profile quick --locked --bin heyun </dev/null
heyun=$CARGO_TARGET_DIR/quick/heyun

# Building took its time: somebody may have come meanwhile.
must_be_free "$mqtt" broker MQTT_PORT
must_be_free "$http" "web server" HTTP_PORT
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

BROKER='' DAEMON='' SIMULATOR='' stopping=''
# Ctrl-C reaches this script alone (the children have sessions of their own): each gets one signal, upstream first, because whoever still
# has something to say says it to the next one. Killed, the script takes them along (--pdeathsig).
stop() {
    local status=$?
    [ -z "$stopping" ] || return
    stopping=yes
    trap '' INT TERM HUP
    if [ -n "$SIMULATOR" ]; then
        stop_process "$SIMULATOR" 10
        if read -r -t 1 told <&3; then note "$told"; fi
    fi
    if [ -n "$DAEMON" ]; then stop_process "$DAEMON" 10; fi
    if [ -n "$BROKER" ]; then stop_process "$BROKER" 5; fi
    exit "$status"
}
trap stop EXIT
trap 'echo; say "stopping: the simulator, the daemon, the broker"; exit 0' INT TERM HUP

address() {
    printf '\n    \033[1m%s\033[0m   http://127.0.0.1:%s/\n    %s\n\n' "$1" "$http" "$2"
}

start_broker "$broker_config" "$mqtt" "$demo/mosquitto.log"
say "broker on 127.0.0.1:$mqtt (log: $demo/mosquitto.log)"

daemon_log=$demo/heyun.log
setsid setpriv --pdeathsig TERM "$heyun" run --config "$config" >"$daemon_log" 2>&1 &
DAEMON=$!
for _ in $(seq 400); do
    if grep -q READY "$daemon_log" || ! kill -0 "$DAEMON" 2>/dev/null; then break; fi
    sleep 0.05
done
daemon_ended() {
    tail -n 20 "$daemon_log" >&2
    DAEMON=''
    fail "the daemon ended by itself" "its last words are above; all of them: $daemon_log"
}
kill -0 "$DAEMON" 2>/dev/null || daemon_ended
say "daemon with $config (log: $daemon_log)"
address "和韵 heyun" "Ctrl-C ends everything. ${HISTORY:-28} days of history come now:"

# Its bar and its words go to the terminal; on its output it says when the history is told, and at the end what it sent.
mkfifo "$demo/told"
setsid setpriv --pdeathsig TERM "$heyun" simulate --config "$config" --history "${HISTORY:-28}" --speed "${SPEED:-1}" --seed "${SEED:-1}" >"$demo/told" &
SIMULATOR=$!
exec 3<"$demo/told"
while ! read -r -t 1 told <&3; do
    kill -0 "$DAEMON" 2>/dev/null || daemon_ended
    if ! kill -0 "$SIMULATOR" 2>/dev/null; then
        SIMULATOR=''
        fail "the simulator ended by itself" "its last words are above"
    fi
done
note "$told"
address "和韵 heyun" "The history is in; from here on it is live. What to look at: docs/guide/demo.md"

status=0
wait -n "$BROKER" "$DAEMON" "$SIMULATOR" || status=$?
kill -0 "$DAEMON" 2>/dev/null || daemon_ended
if ! kill -0 "$BROKER" 2>/dev/null; then
    BROKER=''
    fail "the broker ended by itself (exit $status)" "its words: $demo/mosquitto.log"
fi
SIMULATOR=''
fail "the simulator ended by itself (exit $status)" "its last words are above"
