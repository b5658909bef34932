#!/usr/bin/env bash
# Proves that the purity gate can fail: puts forbidden calls into a copy of the pure part and expects clippy to name every one of them,
# and to stay silent about the same calls outside of it. A gate that a typo has switched off would otherwise look green for ever.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

# The same place every time, and the same target folder, so that only our own crate is built anew.
copy=target/purity
rm -rf "$copy"
mkdir -p "$copy"
cp -r Cargo.toml Cargo.lock clippy.toml src "$copy"
# The lock file knows the other member of the workspace too.
mkdir "$copy/tests" && cp -r tests/faulty-disk "$copy/tests"
# Targets that are not copied.
sed -i '/^\[\[bench\]\]/,/^$/d; /^\[\[test\]\]/,/^$/d' "$copy/Cargo.toml"

forbidden='
#[allow(dead_code)]
mod purity_selftest {
    fn clock() -> std::time::SystemTime { std::time::SystemTime::now() }
    fn monotonic() -> std::time::Instant { std::time::Instant::now() }
    fn jiff_clock() -> jiff::Timestamp { jiff::Timestamp::now() }
    fn jiff_zoned() -> jiff::ZonedDateTime { jiff::ZonedDateTime::now() }
    fn process_zone() -> jiff::tz::TimeZone { jiff::tz::TimeZone::system() }
    fn named_zone() { drop(jiff::tz::TimeZone::get("UTC")); }
    fn file() { drop(std::fs::read("/etc/passwd")); }
    fn environment() { drop(std::env::var("TZ")); }
    fn thread() { drop(std::thread::spawn(|| ())); }
    fn socket(_: std::net::TcpStream) {}
    fn lock(_: std::sync::Mutex<u8>) {}
    fn rw_lock(_: std::sync::RwLock<u8>) {}
    fn out() { println!("x"); }
    fn err() { eprintln!("x"); }
}
'
expected=(
    std::time::SystemTime::now std::time::Instant::now jiff::Timestamp::now jiff::ZonedDateTime::now jiff::tz::TimeZone::system
    jiff::tz::TimeZone::get std::fs::read std::env::var std::thread::spawn std::net::TcpStream std::sync::Mutex std::sync::RwLock
    std::println std::eprintln
)

clippy() {
    cargo clippy --locked --quiet --lib --no-default-features --manifest-path "$copy/Cargo.toml" --color never 2>&1
}

# Outside of the pure part: the crate's root. Nothing may be said about it (the lists are for the domain alone).
cp src/lib.rs "$copy/src/lib.rs"
printf '%s' "$forbidden" >>"$copy/src/lib.rs"
if said=$(clippy) && ! grep -q 'disallowed' <<<"$said"; then
    note "outside of the pure part: silent, as it should be"
else
    fail "the domain's lists are applied outside of it" "$(grep -m 5 -A 3 'disallowed\|^error' <<<"$said" || true)"
fi
cp src/lib.rs "$copy/src/lib.rs"

decode=src/ingest/decode.rs
if [ -f src/ingest/decode/mod.rs ]; then decode=src/ingest/decode/mod.rs; fi
for file in src/domain/units.rs "$decode"; do
    printf '%s' "$forbidden" >>"$copy/$file"
    if said=$(clippy); then fail "clippy lets forbidden calls pass in $file" "is the deny attribute of its module still there?"; fi
    for name in "${expected[@]}"; do
        grep -qF "\`$name\`" <<<"$said" || fail "clippy does not see $name in $file" "is it still in clippy.toml?"
    done
    note "$file: ${#expected[@]} of ${#expected[@]} forbidden names seen"
    cp "$file" "$copy/$file"
done
rm -rf "$copy"
