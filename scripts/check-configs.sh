#!/usr/bin/env bash
# `heyun check` on every config that somebody might copy: config/*.toml and the fences in README*.md and docs/ that hold a whole config.
# A fence is a whole config if it opens with the words
#     ```toml config
# Other toml fences (a few keys, to show one thing) are left alone.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

# The one that the tests were run with: `cargo build` would choose other features for shared packages and build them a second time.
cargo test --locked --quiet --no-run
heyun=$CARGO_TARGET_DIR/debug/heyun
out=target/doc-configs
rm -rf "$out"
mkdir -p "$out"

shopt -s nullglob globstar
shipped=(config/*.toml)
[ ${#shipped[@]} -gt 0 ] || fail "config/ holds no *.toml"

for page in README*.md docs/**/*.md; do
    awk -v out="$out/${page//\//-}" '
        /^ *```/ {
            if (inside) { inside = 0; close(file) }
            else if ($0 ~ /^ *```toml config *$/) { inside = 1; file = out "-line-" NR ".toml"; printf "" > file; next }
        }
        inside { print > file }
    ' "$page"
done

bad=0
for file in "${shipped[@]}" "$out"/*.toml; do
    if said=$("$heyun" check --config "$file" 2>&1); then
        note "ok   $file"
    else
        printf '    BAD  %s (exit %s)\n%s\n' "$file" "$?" "$said"
        bad=$((bad + 1))
    fi
done
# A check that says yes to everything would pass all of the above.
printf 'no_such_key = 1\n' >"$out/bad.toml"
status=0
"$heyun" check --config "$out/bad.toml" >/dev/null 2>&1 || status=$?
if [ "$status" != 78 ]; then
    note "BAD  a config with an unknown key: exit $status, 78 was expected"
    bad=$((bad + 1))
fi
[ "$bad" = 0 ]
