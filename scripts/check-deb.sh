#!/usr/bin/env bash
# Looks into a built package: right files, owners and modes, maintainer scripts, and a binary that runs once it is unpacked.
#   check-deb.sh FILE.deb
set -euo pipefail
source "$(dirname "$0")/lib.sh"

deb=$1
list=$(dpkg-deb -c "$deb")
# wants MODE PATH
wants() {
    grep -qE "^$1 (root/root|0/0) .* \./$2\$" <<<"$list" || fail "$deb lacks $2 ($1, owned by root)" "$(grep -F "$2" <<<"$list" || echo "not there at all")"
}
wants -rwxr-xr-x usr/bin/heyun
wants -rw-r----- etc/heyun/heyun.toml
wants -rw-r--r-- lib/systemd/system/heyun.service
wants -rw-r--r-- usr/lib/sysusers.d/heyun.conf
wants -rw-r--r-- usr/lib/tmpfiles.d/heyun.conf
wants -rw-r--r-- usr/share/doc/heyun/copyright
wants -rw-r--r-- usr/share/doc/heyun/README.md
wants -rw-r--r-- usr/share/doc/heyun/mosquitto.conf

dir=target/check-deb
rm -rf "$dir"
dpkg-deb -R "$deb" "$dir"
grep -qx /etc/heyun/heyun.toml "$dir/DEBIAN/conffiles" || fail "$deb: /etc/heyun/heyun.toml is no conffile: an upgrade would overwrite it"
for script in postinst prerm postrm; do
    [ -x "$dir/DEBIAN/$script" ] || fail "$deb lacks $script"
    cmp -s "$dir/DEBIAN/$script" "packaging/debian/$script" || fail "$deb: $script is not packaging/debian/$script"
done

# What the binary asks of glibc must not be newer than what the package depends on.
if have objdump; then
    needs=$(objdump -T "$dir/usr/bin/heyun" | grep -oE 'GLIBC_[0-9.]+' | sort -uV | tail -n 1 | cut -d_ -f2)
    says=$(sed -nE 's/^Depends:.*libc6 \(>= ([0-9.]+)\).*/\1/p' "$dir/DEBIAN/control")
    newest=$(printf '%s\n' "$needs" "$says" | sort -V | tail -n 1)
    [ "$newest" = "$says" ] || fail "the binary needs glibc $needs, the package says libc6 >= $says" "correct depends in Cargo.toml"
    note "needs glibc $needs, depends on $says"
fi
"$dir/usr/bin/heyun" --version >/dev/null || fail "the packaged binary does not run"

if have systemd-analyze; then
    # verify looks for the program where the unit says it is: in the unpacked tree here.
    sed "s#=/usr/bin/heyun#=$PWD/$dir/usr/bin/heyun#" systemd/heyun.service >"$dir/heyun.service"
    systemd-analyze verify "$dir/heyun.service"
    note "$(systemd-analyze security --offline=true "$dir/heyun.service" | tail -n 1 | sed 's/^[^A-Za-z]*//')"
fi
rm -rf "$dir"
