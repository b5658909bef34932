#!/usr/bin/env bash
# `make pictures`: the README's pictures, taken in a real browser from the demo's community (docs/pictures).
set -euo pipefail
source "$(dirname "$0")/lib.sh"

scripts/setup.sh test
scripts/pages.sh
say "taking pictures (cargo test --test browser)"
cargo test --locked --test browser every_page </dev/null
mkdir -p docs/pictures
for view in overview incident; do
    for language in zh en; do
        cp "target/screenshots/$view-desk-$language.png" "docs/pictures/$view-$language.png"
    done
done
note "docs/pictures: look at them before they are committed"
