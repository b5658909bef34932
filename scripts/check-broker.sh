#!/usr/bin/env bash
# The shipped broker config against a real mosquitto: it starts, a message gets through, a message over the limit does not; then the form
# with users and ACL, as its comments tell to make it: who has no password is refused, and a device reaches its own topics only.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

dir=target/check-broker
rm -rf "$dir"
mkdir -p "$dir"
BROKER=''
trap 'if [ -n "$BROKER" ]; then stop_process "$BROKER" 5; fi' EXIT

# broker CONFIG: starts it on a free port, with its state in $dir.
broker() {
    port=$(free_port 18850)
    sed -E -i "s/^listener .*/listener $port 127.0.0.1/" "$1"
    echo "persistence_location $PWD/$dir/" >>"$1"
    if [ "$(id -u)" = 0 ]; then echo "user root" >>"$1"; fi
    start_broker "$1" "$port" "$1.log"
}
# heard TOPIC OUT [OPTIONS…]: writes what arrives there to OUT, and returns when it is listening.
heard() {
    local topic=$1 out=$2
    shift 2
    # `-E` would leave after subscribing, so the retained marker is what tells that the subscription stands.
    timeout 10 mosquitto_sub -p "$port" -q 1 -F '%t %l' -t "$topic" "$@" >"$out" 2>&1 &
    SUB=$!
    for _ in $(seq 100); do
        if grep -q '^heyun/ready ' "$out"; then return 0; fi
        sleep 0.05
    done
    fail "no subscription on $topic" "$(cat "$out")"
}
# until_heard FILE PATTERN
until_heard() {
    for _ in $(seq 100); do
        if grep -q "$2" "$1"; then return 0; fi
        sleep 0.05
    done
    return 1
}

cp config/mosquitto.conf "$dir/open.conf"
broker "$dir/open.conf"
mosquitto_pub -p "$port" -q 1 -r -t heyun/ready -m 1
heard '#' "$dir/open.out"
head -c 4194305 /dev/zero >"$dir/big"
mosquitto_pub -p "$port" -q 1 -t meters/a/big -f "$dir/big"
mosquitto_pub -p "$port" -q 1 -t meters/a/state -m 12.5
until_heard "$dir/open.out" '^meters/a/state 4$' || fail "a message did not get through the shipped broker config"
if grep -q '^meters/a/big' "$dir/open.out"; then fail "a message over message_size_limit got through"; fi
kill "$SUB" 2>/dev/null || true
stop_process "$BROKER" 5
[ -s "$dir/mosquitto.db" ] || fail "a stopped broker left no state behind: persistence is off"
BROKER=''
note "as shipped: messages get through, those over the limit do not, state is kept"

# The comments' own recipe, done by machine, so that it stays true.
rm -f "$dir/mosquitto.db"
sed -E '/^listener /d; /^allow_anonymous true/d; s/^#(listener|allow_anonymous|password_file|acl_file) /\1 /' config/mosquitto.conf |
    sed "s#/etc/mosquitto/heyun.passwd#$dir/passwd#; s#/etc/mosquitto/heyun.acl#$dir/acl#" >"$dir/users.conf"
cp config/mosquitto.acl "$dir/acl"
touch "$dir/passwd"
for user in heyun meter7; do mosquitto_passwd -b "$dir/passwd" "$user" "secret of $user"; done
broker "$dir/users.conf"
gateway=(-u heyun -P "secret of heyun")
meter=(-u meter7 -P "secret of meter7")

if mosquitto_pub -p "$port" -q 1 -t meters/x/state -m 1 2>/dev/null; then fail "somebody without a password was let in"; fi
mosquitto_pub -p "$port" "${gateway[@]}" -q 1 -r -t heyun/ready -m 1
heard '#' "$dir/users.out" "${gateway[@]}"
mosquitto_pub -p "$port" "${meter[@]}" -q 1 -t meters/meter8/state -m 666 2>/dev/null || true
mosquitto_pub -p "$port" "${meter[@]}" -q 1 -t heyun/cmd -m 666 2>/dev/null || true
mosquitto_pub -p "$port" "${meter[@]}" -q 1 -t meters/meter7/state -m 12.5
until_heard "$dir/users.out" '^meters/meter7/state 4$' || fail "the gateway does not hear a device that may speak"
if grep -qE '^(meters/meter8|heyun/cmd)' "$dir/users.out"; then fail "a device could write under another's name"; fi
kill "$SUB" 2>/dev/null || true
note "with users: no password, no entry; a device reaches its own topics only"
