#!/usr/bin/env bash
# `make pages`: the office pages (dashboards/office), built into its dist/, from where the binary takes them when it is built.
#   pages.sh          builds what has changed since the last time
#   pages.sh check    builds them and runs their own checks
set -euo pipefail
source "$(dirname "$0")/lib.sh"

office=dashboards/office
if [ ! -f "$office/package.json" ]; then
    note "no pages: there is no $office here. The daemon says so on / and serves its API."
    exit 0
fi
have npm || fail "npm is missing" "scripts/setup.sh run installs it (Debian's node and npm do)"

# The packages are fetched again only when the lock names others.
stamp=$office/node_modules/.heyun-lock
lock=$(sha256sum "$office/package-lock.json" | cut -d' ' -f1)
if [ "$(cat "$stamp" 2>/dev/null || true)" != "$lock" ]; then
    say "fetching the packages of the pages (npm ci; once per change of package-lock.json)"
    (cd "$office" && npm ci --no-audit --no-fund </dev/null)
    echo "$lock" >"$stamp"
fi

# glossary.json feeds the pages as well.
changed() {
    [ -f "$office/dist/index.html" ] || return 0
    local inputs=("$office")
    if [ -f glossary.json ]; then inputs+=(glossary.json); fi
    [ -n "$(find "${inputs[@]}" \( -path "$office/node_modules" -o -path "$office/dist" \) -prune -o -type f -newer "$office/dist/index.html" -print -quit)" ]
}
if changed; then
    say "building the pages (npm run build)"
    (cd "$office" && npm run build </dev/null)
    [ -f "$office/dist/index.html" ] || fail "npm run build left no $office/dist/index.html"
else
    note "the pages are as they were built last"
fi

if [ "${1:-}" = check ]; then
    for part in check check:old-browsers test; do
        grep -q "\"$part\":" "$office/package.json" || continue
        say "checking the pages (npm run $part)"
        (cd "$office" && npm run "$part" </dev/null)
    done
fi
