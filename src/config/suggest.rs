//! "Did you mean": the nearest of the words that would have been right.

/// The most words that are listed where none is near.
const LISTED: usize = 20;

/// The candidate nearest to `word`, if one is near enough to be what was meant.
pub(super) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word = plain(word);
    let len = word.chars().count();
    let reach = match len {
        0..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    candidates
        .into_iter()
        .filter_map(|c| {
            let p = plain(c);
            let distance = strsim::damerau_levenshtein(&word, &p);
            // `total_litres` for `total` is a likely slip as well, but no nearer than a typing error.
            let prefix = len.min(p.chars().count()) >= 3 && (p.starts_with(&word) || word.starts_with(&p));
            (distance <= reach && distance < len.max(2)).then_some(distance).or(prefix.then_some(reach + 1)).map(|d| (d, c))
        })
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}

/// A sentence for the reader: the nearest candidate, else the list of them.
pub(super) fn advice(word: &str, candidates: &[&str]) -> String {
    match nearest(word, candidates.iter().copied()) {
        Some(c) => format!("did you mean `{c}`?"),
        None => one_of(candidates),
    }
}

/// `one of: a, b, c`, cut where the list is long.
pub(super) fn one_of(candidates: &[&str]) -> String {
    match candidates {
        [] => "there is none to name yet".to_owned(),
        [only] => format!("`{only}`"),
        many if many.len() <= LISTED => format!("one of: {}", many.join(", ")),
        many => format!("one of: {}, … ({} in all)", many[..LISTED].join(", "), many.len()),
    }
}

/// Case and the choice between `-`, `_` and space are no difference.
fn plain(s: &str) -> String {
    s.trim().to_lowercase().replace(['-', ' '], "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let keys = ["serial", "pulse_weight", "digits", "id"];
        assert_eq!(nearest("pulseweight", keys), Some("pulse_weight"));
        assert_eq!(nearest("Pulse-Weight", keys), Some("pulse_weight"));
        assert_eq!(nearest("seriel", keys), Some("serial"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest("x", keys), None);
        assert_eq!(nearest("Asia/Shangai", ["Asia/Shanghai", "Asia/Hanoi"]), Some("Asia/Shanghai"));
    }

    #[test]
    fn a_long_list_is_cut() {
        let ids: Vec<String> = (0..40).map(|i| format!("place-{i}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        assert!(one_of(&ids).ends_with("… (40 in all)"));
    }
}
