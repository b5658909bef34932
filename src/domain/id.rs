//! Global ids: `<gateway>.<ULID>`. Unique among all gateways, sortable by time, and reproducible: a replay gives the same ids.

use super::time::Ts;
use std::sync::Arc;

/// Crockford's base 32, the alphabet of ULIDs (github.com/ulid/spec).
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The id of the `n`-th thing of a `kind` that `gateway` names, at `ts`.
///
/// The 80 bits that a ULID fills with chance are a hash of (gateway, kind, n) instead: `n` never repeats within a gateway's store,
/// so they are as unique, and the domain needs no source of chance.
pub fn global_id(gateway: &str, kind: &str, n: u64, ts: Ts) -> Arc<str> {
    let mut h = Fnv::new();
    h.bytes(gateway.as_bytes());
    h.bytes(&[0]);
    h.bytes(kind.as_bytes());
    h.bytes(&n.to_le_bytes());
    let low = mix(h.0);
    let high = mix(h.0 ^ 0x9E37_79B9_7F4A_7C15);
    let ms = u128::try_from(ts.0.clamp(0, (1 << 48) - 1)).unwrap_or_default();
    let bits = ms << 80 | u128::from(high & 0xFFFF) << 64 | u128::from(low);
    let mut out = String::with_capacity(gateway.len() + 27);
    out.push_str(gateway);
    out.push('.');
    for i in (0..26).rev() {
        out.push(char::from(ALPHABET[(bits >> (5 * i) & 31) as usize]));
    }
    out.into()
}

/// The instant that stands in a global id; None if it is not one.
pub fn id_time(id: &str) -> Option<Ts> {
    let (_, ulid) = id.rsplit_once('.')?;
    if ulid.len() != 26 {
        return None;
    }
    let mut ms = 0i64;
    for c in ulid.bytes().take(10) {
        ms = ms << 5 | ALPHABET.iter().position(|a| *a == c)? as i64;
    }
    Some(Ts(ms))
}

/// FNV-1a, 64 bit.
struct Fnv(u64);

impl Fnv {
    fn new() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
    fn bytes(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.0 = (self.0 ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection, so different inputs stay different.
fn mix(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_differ_by_number_and_tell_their_time() {
        let a = global_id("g1", "incident", 1, Ts(1_700_000_000_000));
        let b = global_id("g1", "incident", 2, Ts(1_700_000_000_001));
        assert!(a < b && a.starts_with("g1.") && a.len() == 29);
        assert_ne!(a, global_id("g1", "incident", 2, Ts(1_700_000_000_000)));
        assert_ne!(a, global_id("g1", "source", 1, Ts(1_700_000_000_000)));
        assert_eq!(id_time(&a), Some(Ts(1_700_000_000_000)));
        assert_eq!(id_time("g1.short"), None);
    }
}
