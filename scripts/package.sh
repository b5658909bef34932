#!/usr/bin/env bash
# `make package`: target/debian/heyun_VERSION_ARCH.deb, looked into before it is handed over.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

scripts/setup.sh package

say "building the daemon (release)"
cargo build --release --locked --bin heyun </dev/null

debs=$CARGO_TARGET_DIR/debian
rm -f "$debs"/heyun_*.deb
# The release profile has chosen what to strip: names of functions stay, so that a crash report can be read.
cargo deb --quiet --locked --no-build --no-strip </dev/null
deb=$(ls "$debs"/heyun_*.deb)
deb=${deb#"$PWD"/}

say "checking $deb"
scripts/check-deb.sh "$deb"
say "$deb ($(du -h "$deb" | cut -f1)) is ready:  apt install ./$deb"
