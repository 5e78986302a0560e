//! How often the bad state fails: what is believed of the failure rate before and after runs.
//!
//! The rate is the same for all bad items of a range, and unknown. Before any run it is believed to be exactly 1 with
//! some probability (most kernel bugs that a test was written for fail always), and otherwise spread by a Beta
//! distribution. Both have a closed form for "these runs failed and those passed", so the rate is integrated out and
//! never estimated: a search that has seen the bad end fail three times of three doubts a pass more than one that has
//! seen it fail thirty times of thirty.

use libm::lgamma;
use serde::{Deserialize, Serialize};

/// Runs of one item, or of several, that say something: those that failed as pinned, and those that passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Runs that failed with the pinned signature.
    pub(crate) failed: u32,
    /// Runs that passed.
    pub(crate) passed: u32,
}

impl Tally {
    /// Runs in all.
    #[must_use]
    pub(crate) fn runs(self) -> u32 {
        self.failed + self.passed
    }

    /// Both together.
    #[must_use]
    pub(crate) fn and(self, other: Tally) -> Tally {
        Tally {
            failed: self.failed + other.failed,
            passed: self.passed + other.passed,
        }
    }

    /// What is left when a part is taken out.
    #[must_use]
    pub(crate) fn less(self, part: Tally) -> Tally {
        Tally {
            failed: self.failed.saturating_sub(part.failed),
            passed: self.passed.saturating_sub(part.passed),
        }
    }
}

/// What is believed of the failure rate of the bad state before the first run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RatePrior {
    /// Probability that every run of a bad item fails.
    pub(crate) always: f64,
    /// Otherwise the rate has the distribution Beta(`alpha`, `beta`).
    pub(crate) alpha: f64,
    /// See `alpha`.
    pub(crate) beta: f64,
}

impl Default for RatePrior {
    fn default() -> RatePrior {
        RatePrior {
            always: 0.3,
            alpha: 0.5,
            beta: 1.0,
        }
    }
}

impl RatePrior {
    /// A bad item fails always: one run settles an item.
    #[cfg(test)]
    pub(crate) const ALWAYS: RatePrior = RatePrior {
        always: 1.0,
        alpha: 1.0,
        beta: 1.0,
    };

    /// Logarithm of the probability of just these runs, in their order, if they were all of bad items.
    #[must_use]
    pub(crate) fn ln_likelihood(&self, tally: Tally) -> f64 {
        let always = if tally.passed == 0 { self.always } else { 0.0 };
        let sometimes = 1.0 - self.always;
        if sometimes <= 0.0 {
            return always.ln();
        }
        let spread = sometimes.ln() + self.ln_beta_ratio(tally);
        if always <= 0.0 {
            spread
        } else {
            // ln(always + e^spread); neither term is large.
            (always + spread.exp()).ln()
        }
    }

    /// Probability that the next run of a bad item fails, after these.
    #[must_use]
    pub(crate) fn fails_next(&self, tally: Tally) -> f64 {
        let beta_mean = (self.alpha + f64::from(tally.failed)) / (self.alpha + self.beta + f64::from(tally.runs()));
        if tally.passed > 0 {
            return beta_mean;
        }
        let sometimes = (1.0 - self.always) * self.ln_beta_ratio(tally).exp();
        (self.always + sometimes * beta_mean) / (self.always + sometimes)
    }

    /// Logarithm of B(alpha + failed, beta + passed) / B(alpha, beta).
    fn ln_beta_ratio(&self, tally: Tally) -> f64 {
        ln_beta(
            self.alpha + f64::from(tally.failed),
            self.beta + f64::from(tally.passed),
        ) - ln_beta(self.alpha, self.beta)
    }

    /// What is believed of the rate after these runs of bad items, with the interval that holds it with a probability
    /// of 95 %.
    #[must_use]
    pub(crate) fn after(&self, tally: Tally) -> Rate {
        const STEPS: u32 = 4000;
        let step = |n: u32| (f64::from(n) + 0.5) / f64::from(STEPS);
        let ln_density = |rate: f64| {
            (self.alpha + f64::from(tally.failed) - 1.0) * rate.ln()
                + (self.beta + f64::from(tally.passed) - 1.0) * (1.0 - rate).ln()
        };
        let peak = (0..STEPS)
            .map(|n| ln_density(step(n)))
            .fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = (0..STEPS).map(|n| (ln_density(step(n)) - peak).exp()).collect();
        let spread: f64 = weights.iter().sum();
        // The share of "always" in all that is believed.
        let always = if tally.passed == 0 {
            let sometimes = (1.0 - self.always) * self.ln_beta_ratio(tally).exp();
            self.always / (self.always + sometimes)
        } else {
            0.0
        };
        let quantile = |wanted: f64| {
            let mut below = 0.0;
            for (n, weight) in (0..STEPS).zip(&weights) {
                below += (1.0 - always) * weight / spread;
                if below >= wanted {
                    return step(n);
                }
            }
            1.0
        };
        Rate {
            mean: self.fails_next(tally),
            low: quantile(0.025),
            high: quantile(0.975),
        }
    }
}

/// What is believed of the failure rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rate {
    /// Its mean: the probability that the next run fails.
    pub(crate) mean: f64,
    /// It is at least this with a probability of 97.5 %.
    pub(crate) low: f64,
    /// It is at most this with a probability of 97.5 %.
    pub(crate) high: f64,
}

/// Logarithm of the Beta function.
pub(crate) fn ln_beta(a: f64, b: f64) -> f64 {
    lgamma(a) + lgamma(b) - lgamma(a + b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tally(failed: u32, passed: u32) -> Tally {
        Tally { failed, passed }
    }

    #[test]
    fn a_pass_after_more_failures_is_doubted_more() {
        let prior = RatePrior::default();
        let passes = |failed| 1.0 - prior.fails_next(tally(failed, 0));
        assert!(passes(3) > 2.0 * passes(10) && passes(10) > 2.0 * passes(30));
        assert!(passes(30) < 0.002);
        assert!(RatePrior::ALWAYS.fails_next(tally(1, 0)) == 1.0);
        assert!(RatePrior::ALWAYS.ln_likelihood(tally(1, 1)) == f64::NEG_INFINITY);
    }

    #[test]
    fn what_is_believed_of_the_rate_lies_around_what_was_seen() {
        let rate = RatePrior::default().after(tally(10, 90));
        assert!(
            (0.05..0.06).contains(&rate.low) && (0.16..0.18).contains(&rate.high),
            "{rate:?}"
        );
        assert!((0.09..0.12).contains(&rate.mean), "{rate:?}");
        let always = RatePrior::default().after(tally(100, 0));
        assert!(always.high == 1.0 && always.low > 0.99, "{always:?}");
        // Nothing was seen yet: anything is possible.
        let nothing = RatePrior::default().after(Tally::default());
        assert!(nothing.low < 0.01 && nothing.high == 1.0, "{nothing:?}");
    }

    proptest! {
        #[test]
        fn one_run_more_is_as_probable_as_it_was_foretold(failed in 0..300_u32, passed in 0..300_u32) {
            let prior = RatePrior::default();
            let before = prior.ln_likelihood(tally(failed, passed));
            let fails = prior.fails_next(tally(failed, passed));
            let ratio = |after: Tally| (prior.ln_likelihood(after) - before).exp();
            prop_assert!((ratio(tally(failed + 1, passed)) - fails).abs() < 1e-9);
            prop_assert!((ratio(tally(failed, passed + 1)) - (1.0 - fails)).abs() < 1e-9);
        }
    }
}
