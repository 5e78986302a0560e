//! How a search is to go.

use exit::{Exit, ExitError};
use serde::{Deserialize, Serialize};

use crate::belief::Direction;
use crate::rate::RatePrior;

/// How a search is to go.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Which end is the bad one.
    pub direction: Direction,
    /// Probability with which the result may be wrong.
    pub error: f64,
    /// What is believed of the failure rate before the first run.
    pub rate: RatePrior,
    /// Probability that a run of a good item fails with the pinned signature. With 0 a single failure is proof.
    pub false_failure: f64,
    /// Probability, before it is run, that the end which should be good is bad.
    pub doubt: f64,
    /// Failures of the bad end before anything else is run.
    pub calibration_failures: u32,
    /// Runs of the bad end without a failure after which it counts as not bad.
    pub give_up_after: u32,
    /// Cost of a build, in any unit.
    pub build_cost: f64,
    /// Cost of a run, in the same unit.
    pub run_cost: f64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            direction: Direction::Regression,
            error: 0.01,
            rate: RatePrior::default(),
            false_failure: 0.0,
            doubt: 0.05,
            calibration_failures: 3,
            give_up_after: 200,
            build_cost: 10.0,
            run_cost: 1.0,
        }
    }
}

/// A setting that makes no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{name} = {value}: expected {expected}")]
pub struct ConfigError {
    pub(crate) name: &'static str,
    /// What it is.
    pub(crate) value: f64,
    /// What it may be.
    pub(crate) expected: &'static str,
}

impl ExitError for ConfigError {
    fn exit(&self) -> Exit {
        Exit::Internal
    }
}

impl Config {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let share = "a number from 0 up to, but not including, 1";
        let positive = "a number above 0";
        let rules = [
            (
                "error",
                self.error,
                self.error > 0.0 && self.error < 0.5,
                "a number above 0 and below 0.5",
            ),
            (
                "false_failure",
                self.false_failure,
                (0.0..1.0).contains(&self.false_failure),
                share,
            ),
            ("doubt", self.doubt, (0.0..1.0).contains(&self.doubt), share),
            (
                "rate.always",
                self.rate.always,
                (0.0..=1.0).contains(&self.rate.always),
                "a number from 0 to 1",
            ),
            (
                "rate.alpha",
                self.rate.alpha,
                self.rate.alpha > 0.0 && self.rate.alpha.is_finite(),
                positive,
            ),
            (
                "rate.beta",
                self.rate.beta,
                self.rate.beta > 0.0 && self.rate.beta.is_finite(),
                positive,
            ),
            (
                "build_cost",
                self.build_cost,
                self.build_cost >= 0.0 && self.build_cost.is_finite(),
                "a number from 0 up",
            ),
            (
                "run_cost",
                self.run_cost,
                self.run_cost > 0.0 && self.run_cost.is_finite(),
                positive,
            ),
            (
                "calibration_failures",
                f64::from(self.calibration_failures),
                self.calibration_failures > 0,
                "1 or more",
            ),
            (
                "give_up_after",
                f64::from(self.give_up_after),
                self.give_up_after > 0,
                "1 or more",
            ),
        ];
        rules
            .into_iter()
            .find(|(_, _, holds, _)| !holds)
            .map_or(Ok(()), |(name, value, _, expected)| {
                Err(ConfigError { name, value, expected })
            })
    }
}
