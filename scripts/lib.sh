# Sourced by the other scripts: words they share. Sourcing it goes to the project's root.
# shellcheck shell=bash

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

# Debian keeps mosquitto where only root looks.
PATH="$PATH:/usr/sbin:/sbin"

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"

# Cargo's own tools, in the versions that this project was checked with. HEYUN_TOOLS keeps them across clones.
TOOLS="${HEYUN_TOOLS:-$PWD/target/tools}"
PATH="$TOOLS/bin:$PATH"
export CARGO_DENY_VERSION=0.20.2
export CARGO_DEB_VERSION=3.8.0

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }
note() { printf '    %s\n' "$*"; }
fail() {
    printf '\nerror: %s\n' "$1" >&2
    shift
    for line in "$@"; do printf '       %s\n' "$line" >&2; done
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# True if somebody listens on this port of the loopback.
port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# "name (process 123)" of whoever listens on a port, as far as this user may see it.
port_owner() {
    local line
    have ss || return 0
    line=$(ss -Hltnp "sport = :$1" 2>/dev/null | head -n 1)
    sed -nE 's/.*users:\(\("([^"]+)",pid=([0-9]+).*/\1 (process \2)/p' <<<"$line"
}

# A port of the loopback on which nobody listens, from $1 on.
free_port() {
    local port=$1
    while port_taken "$port"; do port=$((port + 1)); done
    echo "$port"
}

# Starts a broker and returns when it takes connections; its process id is in BROKER.
#   start_broker CONFIG PORT LOG
# It gets a session of its own, so that Ctrl-C reaches it only through our own orderly stop, and ends with us even if we are killed.
start_broker() {
    local config=$1 port=$2 log=$3
    setsid setpriv --pdeathsig TERM mosquitto -c "$config" >"$log" 2>&1 &
    BROKER=$!
    for _ in $(seq 100); do
        if port_taken "$port"; then return 0; fi
        if ! kill -0 "$BROKER" 2>/dev/null; then break; fi
        sleep 0.05
    done
    tail -n 20 "$log" >&2
    fail "mosquitto did not start" "config: $config" "its last words are above; all of them: $log"
}

# Ends one process of ours by its id: asks, waits up to $2 seconds, then makes it.
stop_process() {
    local pid=$1 seconds=$2
    kill -TERM "$pid" 2>/dev/null || return 0
    for _ in $(seq $((seconds * 20))); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.05
    done
    note "process $pid did not end within $seconds s: killed"
    kill -KILL "$pid" 2>/dev/null || true
}
