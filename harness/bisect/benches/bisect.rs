//! The search for the first bad item against other ways to bisect, over made-up ranges: accuracy, runs and builds.
//!
//! `cargo bench --package bisect --bench bisect -- [--short] [--trials N] [--seed N] [--error P] [--rate P]…
//! [--candidates N]…`
//!
//! A range is a line of items of which one, any of them, is the first bad one; a bad item fails with the rate, a good
//! one never. Nobody is told the rate, but the last of the five:
//!
//! - **ours**: `bisect::search` with its defaults and `--error`.
//! - **one run**: a plain `git bisect run`, one run an item.
//! - **syzkaller**: 10 runs an item, 20 at first and once flaky (less than half of the runs of a bad item failed); good
//!   without a failure, bad from 2 failures and a sixth of the runs on, and otherwise skipped. It gives up if the bad
//!   end does not come out bad.
//! - **before**: the same with one failure enough for bad, as it was before; better here, since our good items never
//!   fail.
//! - **told**: for comparison, one who knows the rate: as many passes as the error allows, bad at the first failure.
//!
//! Runs and builds are means and count those of the ends, which **one run** takes at their word, and **told** the bad
//! one. What is checked, and sets the exit code: that ours is right at each rate and length with the probability that
//! was asked for, and that it takes fewer runs than syzkaller's rule, either form of it, wherever that is right as
//! often. With `--trials` from 4,000 up the first means that the bound, with a confidence of 95 % (Clopper and
//! Pearson), is at least that; with fewer (`--short` plays 500) that the score does not speak against it with a
//! confidence of 99 %. The same seed gives the same figures.

use std::process::ExitCode;
use std::time::Instant;

use bisect::history::History;
use bisect::rivals::Threshold;
use bisect::search::{Config, Search};
use bisect::simulate::{Method, Score};
use clap::Parser;

/// Rates that are played by default.
const RATES: [f64; 8] = [0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0];
/// Lengths that are played by default.
const LENGTHS: [usize; 4] = [10, 100, 1_000, 10_000];
/// Trials from which on a score has to prove the accuracy.
const TRIALS_TO_PROVE: u32 = 4_000;

#[derive(Parser)]
#[command(about = "The search for the first bad item against other ways to bisect, over made-up ranges")]
struct Options {
    /// Searches for each rate and length.
    #[arg(long, default_value_t = 4_000)]
    trials: u32,
    /// 500 searches for each.
    #[arg(long, conflicts_with = "trials")]
    short: bool,
    /// Seed of the made-up ranges and runs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Probability with which a result may be wrong.
    #[arg(long, default_value_t = 0.01)]
    error: f64,
    /// Failure rates, instead of those by default.
    #[arg(long)]
    rate: Vec<f64>,
    /// Items other than the old end, instead of the lengths by default.
    #[arg(long)]
    candidates: Vec<usize>,
    /// cargo says so to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(64)
        }
    }
}

/// Plays everything; whether all that is checked holds.
fn run(options: &Options) -> Result<bool, Box<dyn std::error::Error>> {
    let trials = if options.short { 500 } else { options.trials };
    let or = |given: &[f64]| {
        if given.is_empty() {
            RATES.to_vec()
        } else {
            given.to_vec()
        }
    };
    let (rates, lengths) = (or(&options.rate), &options.candidates[..]);
    let lengths = if lengths.is_empty() { &LENGTHS[..] } else { lengths };
    if let Some(rate) = rates.iter().find(|rate| **rate <= 0.0 || **rate > 1.0) {
        return Err(format!("--rate {rate}: expected a number above 0 and up to 1").into());
    }
    if trials == 0 {
        return Err("--trials 0: expected 1 or more".into());
    }
    println!(
        "{trials} searches each, error {}, seed {}; accuracy in %, mean runs, mean builds\n",
        options.error, options.seed
    );
    println!(
        "{:>6} {:>5}  {:>23}  {:>21}  {:>21}  {:>21}  {:>21}",
        "items", "rate", "ours: % (at least) runs", "one run", "syzkaller", "before", "told"
    );
    let began = Instant::now();
    let mut wrong = Vec::new();
    for &candidates in lengths {
        let config = Config {
            error: options.error,
            ..Config::default()
        };
        let fresh = Search::new(History::linear(candidates + 1)?, config)?;
        for &rate in &rates {
            wrong.extend(compare(&fresh, candidates, rate, trials, options));
        }
    }
    println!("\n{:.0} s", began.elapsed().as_secs_f64());
    if wrong.is_empty() {
        println!(
            "ours is right with a probability of {} everywhere, and takes fewer runs than syzkaller's rule \
            wherever that is, too",
            1.0 - options.error
        );
    }
    for line in &wrong {
        println!("NOT SO: {line}");
    }
    Ok(wrong.is_empty())
}

/// Plays all methods on ranges of one length with one failure rate, and prints their line; what is not as it must be.
fn compare(fresh: &Search, candidates: usize, rate: f64, trials: u32, options: &Options) -> Vec<String> {
    let wanted = 1.0 - options.error;
    let play = |method: &Method| Score::of(method, candidates, rate, trials, options.seed);
    let ours = play(&Method::Ours(Box::new(fresh.clone())));
    let rules = [Threshold::TwoOrASixth, Threshold::One].map(|threshold| play(&Method::Syzkaller(threshold)));
    let others = [
        play(&Method::OneRun),
        rules[0],
        rules[1],
        play(&Method::ToldTheRate(options.error)),
    ];
    let bound = ours.accuracy_at_least(0.95);
    print!(
        "{candidates:>6} {rate:>5}  {:>6.2} ({bound:>5.2}) {}",
        100.0 * ours.accuracy(),
        effort(&ours),
        bound = 100.0 * bound
    );
    for other in &others {
        print!("  {:>6.2} {}", 100.0 * other.accuracy(), effort(other));
    }
    println!();
    let holds = if trials >= TRIALS_TO_PROVE {
        bound >= wanted
    } else {
        ours.accuracy_at_most(0.99) >= wanted
    };
    let mut wrong = Vec::new();
    if !holds {
        wrong.push(format!(
            "{candidates} items, rate {rate}: ours is right in {:.2} % only",
            100.0 * ours.accuracy()
        ));
    }
    let beaten = rules.iter().filter(|rule| rule.accuracy() >= wanted);
    if beaten.into_iter().any(|rule| rule.mean_runs() <= ours.mean_runs()) {
        wrong.push(format!(
            "{candidates} items, rate {rate}: syzkaller's rule is as right with fewer runs"
        ));
    }
    wrong
}

/// Mean runs and builds.
fn effort(score: &Score) -> String {
    format!("{:>7.1} {:>5.1}", score.mean_runs(), score.mean_built())
}
