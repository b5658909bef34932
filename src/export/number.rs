//! Exact decimals, digit by digit: a volume never passes through a float.

/// Appends `digits` with `places` of them behind the point; no zeros at its end, no point without digits behind it.
pub fn decimal(out: &mut Vec<u8>, digits: i64, places: u8) {
    if digits < 0 {
        out.push(b'-');
    }
    let unit = 10u64.pow(u32::from(places.min(18)));
    let (whole, mut rest) = (digits.unsigned_abs() / unit, digits.unsigned_abs() % unit);
    integer(out, whole);
    if rest == 0 {
        return;
    }
    let mut places = usize::from(places);
    while rest.is_multiple_of(10) {
        rest /= 10;
        places -= 1;
    }
    let start = out.len() + 1;
    out.push(b'.');
    out.resize(start + places, b'0');
    for slot in out[start..].iter_mut().rev() {
        *slot = digit(rest % 10);
        rest /= 10;
    }
}

/// Appends a whole number.
pub fn integer(out: &mut Vec<u8>, mut n: u64) {
    let mut buffer = [b'0'; 20];
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = digit(n % 10);
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&buffer[at..]);
}

/// Two digits of a clock or a calendar.
pub fn two(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(&[digit(n / 10 % 10), digit(n % 10)]);
}

/// `n` is below ten wherever this is called.
fn digit(n: u64) -> u8 {
    b'0' + u8::try_from(n).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::units::{Decimal, Unit};
    use proptest::prelude::*;

    fn written(digits: i64, places: u8) -> String {
        let mut out = vec![];
        decimal(&mut out, digits, places);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_exact_and_no_longer_than_they_must_be() {
        for (digits, places, wanted) in [
            (338_304_000, 6, "338.304"),
            (0, 6, "0"),
            (-1, 6, "-0.000001"),
            (125_000_000, 6, "125"),
            (485, 1, "48.5"),
            (7, 0, "7"),
            (i64::MAX, 6, "9223372036854.775807"),
            (i64::MIN, 6, "-9223372036854.775808"),
        ] {
            assert_eq!(written(digits, places), wanted);
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_again(ml in -i64::MAX / 4..i64::MAX / 4) {
            prop_assert_eq!(Decimal::parse(&written(ml, 6)).unwrap().in_smallest(Unit::CubicMetre), Ok(ml));
            prop_assert_eq!(Decimal::parse(&written(ml, 3)).unwrap().in_smallest(Unit::Litre), Ok(ml));
        }
    }
}
