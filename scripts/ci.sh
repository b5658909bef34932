#!/usr/bin/env bash
# The gates of the project, one after the other; every one is tried even if an earlier one failed, and a table at the end tells.
#   ci.sh fast   seconds, while writing (make check)
#   ci.sh all    what has to be green before anything lands (make test)
# Planned for 20 minutes on two cores from a fresh clone; the cheap gates come first.
set -uo pipefail
source "$(dirname "$0")/lib.sh"

export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto}
names=() results=() seconds=() failed=0

# step NAME COMMAND…
step() {
    local name=$1 began=$SECONDS result=ok
    shift
    say "$name"
    if ! "$@" </dev/null; then
        result=FAILED
        failed=$((failed + 1))
        printf '!!! %s: failed\n' "$name"
    fi
    names+=("$name") results+=("$result") seconds+=($((SECONDS - began)))
}

table() {
    printf '\n%-44s %8s  %s\n' step seconds result
    for i in "${!names[@]}"; do printf '%-44s %8d  %s\n' "${names[$i]}" "${seconds[$i]}" "${results[$i]}"; done
    printf '%-44s %8d  %s\n' "all of it" "$SECONDS" "$([ "$failed" = 0 ] && echo ok || echo "$failed FAILED")"
}

shell_syntax() {
    local bad=0
    for file in scripts/*.sh .ci/run packaging/debian/{postinst,prerm,postrm}; do bash -n "$file" || bad=1; done
    return $bad
}
# Without the feature `daemon` nothing that touches the world is even a dependency: the pure part must still stand.
pure_library() { cargo check --locked --lib --no-default-features; }
lints() { cargo clippy --locked --workspace --all-targets -- -D warnings; }
tests() { cargo test --locked --workspace --no-fail-fast; }
# They are run by `make fuzz`, which needs a nightly compiler; that they fit the code is seen here.
fuzz_targets() { cargo check --manifest-path fuzz/Cargo.toml --no-default-features --target-dir target/fuzz-check; }
# The advisory database cannot be fetched from everywhere that this runs (deny.toml), so it is not asked here.
# Packages for other platforms stand in the lock file too and have to be at hand.
supply_chain() { cargo fetch --locked && cargo deny --log-level warn --all-features --locked --offline check bans licenses sources; }

case ${1:-all} in
fast)
    step "format" cargo fmt --all --check
    step "lints" lints
    step "pure library stands alone" pure_library
    step "purity gate fires" scripts/purity-selftest.sh
    ;;
all)
    # Without its tools every step below would fail for the same reason, said ten times.
    scripts/setup.sh test || exit 1
    step "format" cargo fmt --all --check
    step "shell syntax" shell_syntax
    # Before whatever compiles: the binary, and so the tests in a browser, take the pages from dist/.
    step "pages" scripts/pages.sh check
    step "lints" lints
    step "pure library stands alone" pure_library
    step "purity gate fires" scripts/purity-selftest.sh
    step "fuzz targets fit the code" fuzz_targets
    step "bans, licences, sources" supply_chain
    step "tests" tests
    step "shipped and documented configs" scripts/check-configs.sh
    step "shipped broker config" scripts/check-broker.sh
    ;;
*) fail "unknown part: $1" "fast or all" ;;
esac

table
[ "$failed" = 0 ]
