//! Words of a status to flags.

use super::scalar::{Raw, Scalar};
use crate::domain::device::FlagRule;
use crate::domain::flag::FlagSet;

/// The flags that stand at one place: a word, several words, or an array of them. A word that the rule does not know raises what the rule says
/// for those, for a device that says something new must not look as if all were well.
pub(super) fn read(rule: &FlagRule, raw: Raw<'_>, into: &mut FlagSet) {
    for one in raw.each() {
        let scalar = Scalar::of(one);
        match scalar.word() {
            Some(text) => words(rule, text, into),
            None if matches!(scalar, Scalar::Other) => into.insert(rule.otherwise),
            None => {}
        }
    }
}

fn words(rule: &FlagRule, text: &str, into: &mut FlagSet) {
    if let Some(meaning) = look_up(rule, text) {
        into.extend(meaning);
        return;
    }
    if !rule.bits.is_empty() {
        match number(text) {
            Some(n) => bits(rule, n, into),
            None => into.insert(rule.otherwise),
        }
        return;
    }
    let joins = |c: char| !(c.is_alphanumeric() || c == '_' || c == '-');
    for word in text.split(joins).map(|w| w.trim_matches('-')).filter(|w| !w.is_empty()) {
        match look_up(rule, word) {
            Some(meaning) => into.extend(meaning),
            None => into.insert(rule.otherwise),
        }
    }
}

fn bits(rule: &FlagRule, n: u64, into: &mut FlagSet) {
    for bit in (0..64u8).filter(|bit| n >> bit & 1 == 1) {
        match rule.bits.iter().find(|(b, _)| *b == bit) {
            Some((_, meaning)) => into.extend(*meaning),
            None => into.insert(rule.otherwise),
        }
    }
}

/// A whole number, or one in hexadecimal digits with 0x before them.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => hex.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u64::from_str_radix(hex, 16).ok())?,
        None => text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?,
    }
}

/// None: unknown; the empty set: it means nothing bad.
fn look_up(rule: &FlagRule, word: &str) -> Option<FlagSet> {
    if let Some((_, flags)) = rule.raise.iter().find(|(w, _)| w.eq_ignore_ascii_case(word)) {
        return Some(*flags);
    }
    let quiet = ["", "0", "false"].contains(&word) || rule.quiet.iter().any(|w| w.eq_ignore_ascii_case(word));
    quiet.then_some(FlagSet::NONE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::flag::Flag;

    fn raised(raw: &str) -> String {
        let raise = [("DRY", Flag::Dry), ("water_leakage", Flag::Leak), ("true", Flag::BatteryLow), ("no answer", Flag::NoAnswer)];
        let rule = FlagRule {
            at: vec![],
            raise: raise.iter().map(|(w, f)| (w.to_string(), [*f].into_iter().collect())).collect(),
            bits: vec![],
            quiet: vec!["OK".into(), "normal state".into()],
            otherwise: Flag::UnknownStatus,
        };
        by(&rule, raw)
    }

    fn by(rule: &FlagRule, raw: &str) -> String {
        let mut set = FlagSet::NONE;
        read(rule, Raw::Json(raw), &mut set);
        set.to_string()
    }

    #[test]
    fn each_bit_of_a_status_word_has_its_meaning() {
        let bits = [(0, vec![Flag::BatteryLow]), (2, vec![Flag::Burst, Flag::Leak]), (63, vec![Flag::Tamper])];
        let rule = FlagRule {
            at: vec![],
            raise: vec![("0xFF".into(), [Flag::NoAnswer].into_iter().collect())],
            bits: bits.into_iter().map(|(b, f)| (b, f.into_iter().collect())).collect(),
            quiet: vec!["--".into()],
            otherwise: Flag::DeviceFault,
        };
        for (raw, want) in [
            (r#""0x0000""#, "none"),
            ("0", "none"),
            (r#""--""#, "none"),
            (r#""0x0001""#, "battery_low"),
            ("5", "leak, burst, battery_low"),
            (r#""0X5""#, "leak, burst, battery_low"),
            (r#""0x0021""#, "battery_low, device_fault"),
            ("9223372036854775808", "tamper"),
            // A word that is listed is a word.
            (r#""0xff""#, "no_answer"),
            // What is no number of 64 bits is not lost.
            ("18446744073709551616", "device_fault"),
            ("-1", "device_fault"),
            ("1.5", "device_fault"),
            (r#""0x""#, "device_fault"),
            (r#""BURST""#, "device_fault"),
        ] {
            assert_eq!(by(&rule, raw), want, "{raw}");
        }
    }

    #[test]
    fn words_raise_flags_alone_together_and_in_lists() {
        for (raw, want) in [
            (r#""DRY""#, "dry"),
            (r#"" dry ""#, "dry"),
            (r#""water_leakage & DRY""#, "leak, dry"),
            (r#""no answer""#, "no_answer"),
            (r#"["DRY","water_leakage"]"#, "leak, dry"),
            ("true", "battery_low"),
            ("[]", "none"),
        ] {
            assert_eq!(raised(raw), want, "{raw}");
        }
    }

    #[test]
    fn nothing_zero_false_and_quiet_words_raise_nothing() {
        for raw in ["null", r#""""#, "0", r#""0""#, "false", r#""ok""#, r#""Normal State""#, r#""OK, OK""#] {
            assert_eq!(raised(raw), "none", "{raw}");
        }
    }

    #[test]
    fn what_the_profile_does_not_know_is_not_lost() {
        for raw in [r#""BURST""#, "7", r#"{"a":1}"#, r#""OK BURST""#, "[[1]]"] {
            assert_eq!(raised(raw), "unknown_status", "{raw}");
        }
        assert_eq!(raised(r#""DRY BURST""#), "dry, unknown_status");
    }
}
