//! Choices that follow from a seed and from nothing else.

/// A small generator (splitmix64): good enough to choose faults, and the same on every machine and in every version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rng(u64);

impl Rng {
    /// A generator for one choice: the plan's seed, who chooses, and the ordinal of the choice.
    #[must_use]
    #[inline]
    pub fn for_choice(seed: u64, who: &str, ordinal: u64) -> Rng {
        // FNV-1a of the name, so that a rule keeps its choices when another is added before it.
        let hash = who.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let mut rng = Rng(seed ^ hash.rotate_left(17));
        let first = rng.next_u64();
        Rng(first ^ ordinal.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The next 64 bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 when the bound is 0.
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        // The high half of a 128-bit product: no division, and a bias far below what a test could see.
        let wide = u128::from(self.next_u64()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// True with the probability given.
    #[inline]
    pub fn chance(&mut self, probability: f64) -> bool {
        // 53 random bits are exactly what an f64 between 0 and 1 can hold.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let unit = (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        unit < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_do_not_change_between_versions() {
        let mut rng = Rng::for_choice(7, "r1", 3);
        assert_eq!([rng.below(1000), rng.below(1000), rng.below(1000)], [158, 367, 930]);
    }

    #[test]
    fn bounds_and_chances_hold() {
        let mut rng = Rng::for_choice(1, "x", 0);
        assert!((0..1000).all(|_| rng.below(10) < 10));
        assert_eq!(rng.below(0), 0);
        assert!((0..1000).all(|_| !rng.chance(0.0)));
        assert!((0..1000).all(|_| rng.chance(1.0)));
        let hits = (0..10_000).filter(|n| Rng::for_choice(1, "x", *n).chance(0.1)).count();
        assert!((800..1200).contains(&hits), "{hits} of 10000 at p=0.1");
    }
}
