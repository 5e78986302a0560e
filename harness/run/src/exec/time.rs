//! How long things may take, in the words of the command line.

use std::time::Duration;

use exit::{Exit, Failure};
use guest_wire::{ExecTime, WhenOver};
use vhost_blk_api::plan::units::{parse_time, print_time};

/// The longest time that can be given: more is a mistake, or a soak.
const LONGEST: Duration = Duration::from_secs(3600);
/// The shortest that a case may have: booting is not part of it, but mounts and checks are.
const SHORTEST_CASE: Duration = Duration::from_secs(1);

/// How long a program may run, and perhaps what it means that it still runs then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenTime {
    limit_ms: u64,
    /// As it once stood behind the time: `30s,error`.
    then: Option<WhenOver>,
}

/// Parses how long a program may run: `30s`, `500ms`. What it means that it still runs then may follow, as it once had
/// to: `30s,error`.
///
/// # Errors
/// It is something else.
pub fn exec_time(words: &str) -> Result<GivenTime, String> {
    let expected = || {
        format!(
            "expected a time of at most {} s, like `30s` or `500ms`; what it means that the program still runs then \
            is said with --exec-time-is: `pass` (the default) or `fail`",
            LONGEST.as_secs()
        )
    };
    let (time, then) = match words.split_once(',') {
        None => (words, None),
        Some((time, "pass")) => (time, Some(WhenOver::Pass)),
        Some((time, "error" | "fail")) => (time, Some(WhenOver::Error)),
        Some(_) => return Err(expected()),
    };
    let time = parse_time(time).filter(|time| *time <= LONGEST);
    let limit_ms = time.and_then(|time| u64::try_from(time.as_millis()).ok());
    Ok(GivenTime {
        limit_ms: limit_ms.filter(|ms| *ms > 0).ok_or_else(expected)?,
        then,
    })
}

/// A program's time with what is said of one that still runs then.
///
/// # Errors
/// It is said twice, in two ways.
pub fn resolve_time(given: Option<GivenTime>, is: Option<WhenOver>) -> Result<Option<ExecTime>, Failure> {
    let Some(GivenTime { limit_ms, then }) = given else {
        return Ok(None);
    };
    match (then, is) {
        (Some(then), Some(is)) if then != is => Err(Failure::new(
            Exit::Usage,
            "--exec-time and --exec-time-is say different things of a program that still runs then; \
            give the time alone: --exec-time 30s --exec-time-is fail",
        )),
        _ => Ok(Some(ExecTime {
            limit_ms,
            then: is.or(then).unwrap_or(WhenOver::Pass),
        })),
    }
}

/// Parses how long a case may go on.
///
/// # Errors
/// It is no time, or one that makes no sense for a case.
pub fn case_limit(words: &str) -> Result<Duration, String> {
    parse_time(words)
        .filter(|time| (SHORTEST_CASE..=LONGEST).contains(time))
        .ok_or_else(|| {
            format!(
                "expected a time from {} s to {} s, like `600s`",
                SHORTEST_CASE.as_secs(),
                LONGEST.as_secs()
            )
        })
}

/// The same, written again.
#[must_use]
pub fn print_limit(limit: Duration) -> String {
    print_time(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_a_program() {
        let time = |limit_ms, then| Ok(GivenTime { limit_ms, then });
        assert_eq!(exec_time("30s"), time(30_000, None));
        assert_eq!(exec_time("30s,pass"), time(30_000, Some(WhenOver::Pass)));
        assert_eq!(exec_time("1500ms,error"), time(1_500, Some(WhenOver::Error)));
        for wrong in [
            "",
            "30",
            "0s",
            "10us",
            "30s,",
            "30s,no",
            "30s, error",
            "2h",
            "7200s",
            "pass",
        ] {
            assert!(exec_time(wrong).unwrap_err().contains("--exec-time-is"), "{wrong}");
        }
    }

    #[test]
    fn what_the_time_means_is_said_once() {
        let given = |then| Some(GivenTime { limit_ms: 1, then });
        let resolved = |then, is| resolve_time(given(then), is).unwrap().unwrap().then;
        assert_eq!(resolved(None, None), WhenOver::Pass);
        assert_eq!(resolved(None, Some(WhenOver::Error)), WhenOver::Error);
        assert_eq!(resolved(Some(WhenOver::Error), None), WhenOver::Error);
        assert_eq!(resolved(Some(WhenOver::Error), Some(WhenOver::Error)), WhenOver::Error);
        assert!(resolve_time(given(Some(WhenOver::Pass)), Some(WhenOver::Error)).is_err());
        assert_eq!(resolve_time(None, None).unwrap(), None);
    }

    #[test]
    fn times_of_a_case() {
        assert_eq!(case_limit("600s"), Ok(Duration::from_secs(600)));
        for wrong in ["", "600", "999ms", "3601s", "10m"] {
            assert!(case_limit(wrong).unwrap_err().contains("from 1 s to 3600 s"), "{wrong}");
        }
    }
}
