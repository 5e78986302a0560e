//! Other ways to bisect a line, to compare with: one run an item, syzkaller's rule, and one that is told the failure
//! rate.
//!
//! All of them halve the range and differ in how they come to a verdict on an item. Where the middle has no verdict the
//! next item beside it is taken, as `git bisect skip` does, but without its pseudo-random leaps.

/// A verdict on an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The change is not in it.
    Good,
    /// The change is in it.
    Bad,
    /// Nothing is known.
    Skip,
}

/// Halves the items above 0 up to `new_end` by verdicts. The first bad one, or none if items without a verdict stand in
/// the way.
pub(crate) fn halve(new_end: usize, mut verdict: impl FnMut(usize) -> Verdict) -> Option<usize> {
    let (mut good, mut bad) = (0, new_end);
    let mut skipped = vec![false; new_end + 1];
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        let beside = (0..bad - good).flat_map(|distance| [middle.checked_sub(distance), Some(middle + distance)]);
        let item = beside
            .flatten()
            .find(|item| (good + 1..bad).contains(item) && !skipped[*item])?;
        match verdict(item) {
            Verdict::Good => good = item,
            Verdict::Bad => bad = item,
            Verdict::Skip => skipped[item] = true,
        }
    }
    Some(bad)
}

/// One run an item, as a plain `git bisect run`; the ends are taken at their word.
pub(crate) fn one_run(new_end: usize, mut fails: impl FnMut(usize) -> bool) -> Option<usize> {
    halve(new_end, |item| if fails(item) { Verdict::Bad } else { Verdict::Good })
}

/// How many failures make an item bad by syzkaller's rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    /// At least two, and at least a sixth of the runs. Fewer, but some, are no verdict.
    TwoOrASixth,
    /// One is enough, as it was before.
    One,
}

/// syzkaller's rule: 10 runs an item, 20 for the first one and as soon as an item failed in less than half of its runs;
/// good without a failure. It gives up if the bad end does not come out as bad.
pub(crate) fn syzkaller(new_end: usize, threshold: Threshold, mut fails: impl FnMut(usize) -> bool) -> Option<usize> {
    let mut runs = SYZKALLER_RUNS * 2;
    let mut flaky = false;
    let mut verdict = |item: usize| {
        let failed = (0..runs).filter(|_| fails(item)).count();
        let bad_from = match threshold {
            Threshold::TwoOrASixth => (runs / 6).max(2),
            Threshold::One => 1,
        };
        let verdict = match failed {
            0 => Verdict::Good,
            failed if failed >= bad_from => Verdict::Bad,
            _ => Verdict::Skip,
        };
        flaky |= verdict == Verdict::Bad && failed * 2 < runs;
        runs = if flaky { SYZKALLER_RUNS * 2 } else { SYZKALLER_RUNS };
        verdict
    };
    if verdict(new_end) != Verdict::Bad || verdict(0) != Verdict::Good {
        return None;
    }
    halve(new_end, verdict)
}

/// Runs an item by syzkaller's rule.
const SYZKALLER_RUNS: usize = 10;

/// The textbook's way for one who knows the rate: an item is bad at its first failure, and good after so many passes
/// that all verdicts of the search together are wrong with the probability `error` at most.
pub(crate) fn told_the_rate(
    new_end: usize,
    rate: f64,
    error: f64,
    mut fails: impl FnMut(usize) -> bool,
) -> Option<usize> {
    let steps = new_end.next_power_of_two().trailing_zeros().max(1);
    let passes = if rate >= 1.0 {
        1
    } else {
        ((error / f64::from(steps)).ln() / (-rate).ln_1p()).ceil().max(1.0) as u32
    };
    let mut verdict = |item: usize| {
        if (0..passes).any(|_| fails(item)) {
            Verdict::Bad
        } else {
            Verdict::Good
        }
    };
    if verdict(0) == Verdict::Bad {
        return None;
    }
    halve(new_end, verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halving_goes_around_what_has_no_verdict() {
        let verdict = |first_bad: usize, skipped: &'static [usize]| {
            halve(16, move |item| match item {
                item if skipped.contains(&item) => Verdict::Skip,
                item if item >= first_bad => Verdict::Bad,
                _ => Verdict::Good,
            })
        };
        for first_bad in 1..=16 {
            assert_eq!(verdict(first_bad, &[]), Some(first_bad));
        }
        assert_eq!(verdict(3, &[8, 7, 9]), Some(3));
        assert_eq!(verdict(9, &[8, 7, 9]), None);
    }

    #[test]
    fn syzkallers_rule_counts_as_it_does() {
        // (failures of the first 20 runs, threshold) -> runs at the second item, or none if it gave up.
        let second = |failures: usize, threshold| {
            let mut runs = 0;
            let mut at_good_end = 0;
            syzkaller(1, threshold, |item| {
                runs += usize::from(item == 1);
                at_good_end += usize::from(item == 0);
                item == 1 && runs <= failures
            });
            assert_eq!(runs, 20);
            at_good_end
        };
        assert_eq!(second(20, Threshold::TwoOrASixth), 10);
        assert_eq!(second(10, Threshold::TwoOrASixth), 10);
        assert_eq!(second(9, Threshold::TwoOrASixth), 20);
        assert_eq!(second(3, Threshold::TwoOrASixth), 20);
        assert_eq!(second(2, Threshold::TwoOrASixth), 0);
        assert_eq!(second(1, Threshold::One), 20);
    }

    #[test]
    fn one_who_is_told_the_rate_passes_often_enough() {
        // 7 steps: 0.7^18 = 0.0016 and 0.7^19 = 0.0011, and 0.01 / 7 = 0.0014.
        let mut passes = 0;
        told_the_rate(128, 0.3, 0.01, |item| {
            passes += usize::from(item == 0);
            item > 0
        });
        assert_eq!(passes, 19);
    }
}
