//! Seeded chance: every draw is a pure function of the seed and of what is drawn, so that any instant can be looked at on its own.

/// A stream of draws that belongs to one thing: a household's day, a device's reading.
#[derive(Clone, Debug)]
pub struct Dice(u64);

/// Mixes two numbers into one that looks like neither (the finaliser of splitmix64).
pub fn mix(a: u64, b: u64) -> u64 {
    let mut z = a ^ b.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x632b_e59b_d9b4_e019);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The seed of something that has a name.
pub fn named(seed: u64, name: &str) -> u64 {
    name.bytes().fold(mix(seed, 0x6e61_6d65), |h, b| mix(h, u64::from(b)))
}

impl Dice {
    /// The draws of thing `of`, for its instant or number `n`.
    pub fn of(of: u64, n: i64) -> Dice {
        Dice(mix(of, n.cast_unsigned()))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0, 0)
    }

    /// 0 to `n` - 1; 0 for `n` of 0 or less.
    pub fn below(&mut self, n: i64) -> i64 {
        let n = u128::try_from(n.max(1)).unwrap_or(1);
        i64::try_from((u128::from(self.next()) * n) >> 64).unwrap_or_default()
    }

    /// `low` to `high`, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below(high - low + 1)
    }

    /// `low` to `high`, the middle likelier than the ends.
    pub fn around(&mut self, low: i64, high: i64) -> i64 {
        (self.between(low, high) + self.between(low, high)) / 2
    }

    /// True in `per_mille` of a thousand cases.
    pub fn chance(&mut self, per_mille: i64) -> bool {
        self.below(1_000) < per_mille
    }

    /// An index into `weights`, each as likely as its weight says.
    pub fn pick(&mut self, weights: &[i64]) -> usize {
        let mut left = self.below(weights.iter().sum());
        for (i, w) in weights.iter().enumerate() {
            if left < *w {
                return i;
            }
            left -= w;
        }
        0
    }
}

/// A smooth wave of -1000 to 1000 with this period: two parabolas that look like a sine and need no float.
pub fn wave(x: i64, period: i64) -> i64 {
    let half = period / 2;
    let at = x.rem_euclid(period);
    let (within, sign) = if at < half { (at, 1) } else { (at - half, -1) };
    sign * 4_000 * within * (half - within) / (half * half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_repeated_by_the_same_seed_only() {
        let roll = |seed| (0..20).map(|n| Dice::of(seed, n).below(1_000)).collect::<Vec<_>>();
        assert_eq!(roll(1), roll(1));
        assert_ne!(roll(1), roll(2));
        assert!(roll(1).iter().all(|n| (0..1_000).contains(n)));
    }

    #[test]
    fn chance_is_fair() {
        let mut dice = Dice::of(7, 7);
        let hits = (0..20_000).filter(|_| dice.chance(250)).count();
        assert!((4_700..5_300).contains(&hits), "{hits}");
        let picks = (0..20_000).filter(|_| dice.pick(&[1, 0, 3]) == 2).count();
        assert!((14_700..15_300).contains(&picks), "{picks}");
    }

    #[test]
    fn a_wave_goes_up_and_down() {
        let at = |x| wave(x, 24);
        assert_eq!((at(0), at(6), at(12), at(18), at(24), at(-6)), (0, 1_000, 0, -1_000, 0, -1_000));
    }
}
