#!/usr/bin/env bash
# Installs what is missing, and nothing else; a second run does nothing.
#   setup.sh run      what `make run` needs
#   setup.sh test     what `make test` needs
#   setup.sh package  what `make package` needs
#   setup.sh all      all of it
set -euo pipefail
source "$(dirname "$0")/lib.sh"

what=${1:-all}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif have sudo; then
        # -n: without a terminal a question for a password would wait for ever.
        if [ -t 0 ]; then sudo "$@"; else sudo -n "$@"; fi
    else
        fail "root is needed for: $*" "run it as root, or install sudo, then try again"
    fi
}

packages=()
# need COMMAND PACKAGE
need() { if ! have "$1"; then packages+=("$2"); fi; }

need cc gcc
# Recommended by gcc, not required: without it nothing can be linked.
if ! have cc || ! cc -x c -o /dev/null - <<<'int main(void) { return 0; }' 2>/dev/null; then packages+=(libc6-dev); fi
need make make
# Says who holds a port that is taken.
need ss iproute2
need mosquitto mosquitto
need setpriv util-linux
# The README's first message is sent by hand, and looked at.
need mosquitto_pub mosquitto-clients
need curl curl
if [ "$what" = test ] || [ "$what" = all ]; then
    # The guides' own examples are run; the program kill, not the shell's own, comes with pgrep.
    need python3 python3
    need pgrep procps
fi
# The pages are built with them; without dashboards/office nobody asks for them.
if [ -f dashboards/office/package.json ]; then
    need node nodejs
    need npm npm
    if [ "$what" = test ] || [ "$what" = all ]; then
        need chromium chromium
        need chromedriver chromium-driver
    fi
fi
if [ "$what" = package ] || [ "$what" = all ]; then
    need dpkg-deb dpkg
fi

if [ ${#packages[@]} -gt 0 ]; then
    have apt-get || fail "missing: ${packages[*]}" "this machine has no apt-get: install them its own way, then try again"
    say "installing ${packages[*]} (apt)"
    export DEBIAN_FRONTEND=noninteractive
    as_root apt-get update -q
    as_root apt-get install -q -y --no-install-recommends "${packages[@]}" </dev/null
    if [[ " ${packages[*]} " == *" mosquitto "* ]] && [ -d /run/systemd/system ]; then
        note "Debian's package also starts a broker of the system on port 1883. Nothing here uses it; it may stay."
        note "If it is not wanted: systemctl disable --now mosquitto"
    fi
fi

if [ -f dashboards/office/package.json ]; then
    node=$(node --version)
    [ "$(cut -d. -f1 <<<"${node#v}")" -ge 18 ] || fail "node $node is too old for the pages" "install Node 18 or newer (Debian 12 has it), then try again"
fi
have cargo || fail "cargo is missing" "install Rust $(sed -nE 's/^rust-version = "(.*)"/\1/p' Cargo.toml) or newer, then try again"
for part in fmt clippy; do
    cargo "$part" --version >/dev/null 2>&1 || fail "cargo $part is missing" "with rustup: rustup component add rustfmt clippy"
done

# cargo_tool NAME VERSION: built once, kept in $TOOLS.
cargo_tool() {
    local name=$1 version=$2
    if [ "$("$name" --version 2>/dev/null)" = "$name $version" ] || [ "$("$name" --version 2>/dev/null)" = "$version" ]; then return; fi
    say "building $name $version into ${TOOLS#"$PWD"/} (once; about three minutes on two cores)"
    cargo install "$name" --locked --quiet --version "$version" --root "$TOOLS" --target-dir "$TOOLS/build" </dev/null
    rm -rf "$TOOLS/build"
}
if [ "$what" = test ] || [ "$what" = all ]; then cargo_tool cargo-deny "$CARGO_DENY_VERSION"; fi
if [ "$what" = package ] || [ "$what" = all ]; then cargo_tool cargo-deb "$CARGO_DEB_VERSION"; fi

if [ "$what" = all ]; then say "nothing is missing"; fi
