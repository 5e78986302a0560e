//! One round: random rules, fio under them, and what came of it.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;
use vhost_blk_api::control::{Command, Reply, RuleStatus};
use vhost_blk_api::plan::Rule;
use vhost_blk_api::rng::Rng;

use guest_wire::soak::SoakReport;

use super::guest::{FioGuest, GuestError, Nudges};
use super::judge::{self, Aftermath, Finding, Phase, Tally};
use super::ledger::Ledger;
use super::rules;
use super::tail::{Tail, TailError};
use super::workload::Workload;
use exit::{Exit, ExitError, Failure};
use klog::Kind;

/// Why a round did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RoundError {
    /// The guest or its machine.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// The device's control socket.
    #[error(transparent)]
    Device(#[from] machine::DeviceError),
    /// The trace.
    #[error(transparent)]
    Trace(#[from] TailError),
    /// The console. One that nobody can read is none that says nothing.
    #[error("cannot read the guest's console: {0}")]
    Console(io::Error),
}

impl ExitError for RoundError {
    fn exit(&self) -> Exit {
        match self {
            RoundError::Guest(error) => error.exit(),
            RoundError::Device(error) => error.exit(),
            RoundError::Trace(error) => error.exit(),
            RoundError::Console(_) => Exit::Internal,
        }
    }
}

/// A rule of a round and how often it was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RuleHits {
    pub(crate) text: String,
    pub(crate) action: String,
    /// Requests to which it was applied.
    pub(crate) hits: u64,
}

/// What came of a round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Round {
    /// Its number, from 1.
    pub(crate) number: u64,
    pub(crate) seed: u64,
    /// The rules that were in force.
    pub(crate) rules: Vec<RuleHits>,
    /// Requests that the device saw.
    pub(crate) requests: u64,
    /// What came of each phase.
    pub(crate) phases: BTreeMap<Phase, Tally>,
    /// What the soak did so that the round could end.
    pub(crate) nudges: Nudges,
    /// What no rule explains.
    pub(crate) findings: Vec<Finding>,
    /// Why it did not come to its end, if so.
    pub(crate) broke_off: Option<String>,
}

/// The seed of a round.
#[must_use]
pub(crate) fn seed_of(seed: u64, number: u64) -> u64 {
    Rng::for_choice(seed, "round", number).next_u64() >> 16
}

/// A booted guest with all that is known of it.
pub(crate) struct Bench {
    guest: FioGuest,
    tail: Tail,
    ledger: Ledger,
    aftermath: Aftermath,
    /// Bytes of the console that were looked at.
    console: usize,
}

impl Bench {
    /// For a guest that has just booted.
    ///
    /// # Errors
    /// Its trace cannot be read.
    pub(crate) fn new(mut guest: FioGuest) -> Result<Bench, TailError> {
        let tail = Tail::open(&guest.machine.device().trace)?;
        Ok(Bench {
            guest,
            tail,
            ledger: Ledger::default(),
            aftermath: Aftermath::default(),
            console: 0,
        })
    }

    /// Does a round. With `rules` those are in force instead of random ones.
    pub(crate) fn round(&mut self, number: u64, seed: u64, rules: Option<&[String]>) -> Round {
        let workload = Workload::of(seed);
        let texts = rules.map_or_else(|| rules::of(seed, &workload), <[String]>::to_vec);
        let mut round = Round {
            number,
            seed,
            rules: Vec::new(),
            requests: 0,
            phases: BTreeMap::new(),
            nudges: Nudges::default(),
            findings: Vec::new(),
            broke_off: None,
        };
        if let Err(error) = self.phases(&mut round, &workload, texts) {
            round.broke_off = Some(Failure::from(error).to_string());
        }
        round.requests = self.ledger.requests();
        round
    }

    fn phases(&mut self, round: &mut Round, workload: &Workload, rules: Vec<String>) -> Result<(), RoundError> {
        self.catch_up()?;
        self.ledger.begin_round(workload);
        self.aftermath.next_round();
        self.tell(
            "mark",
            &Command::Mark {
                name: format!("round-{}", round.number),
            },
        )?;
        self.tell(
            "plan",
            &Command::Plan {
                seed: round.seed,
                rules,
            },
        )?;
        self.phase(round, workload, Phase::Writing, workload.writing())?;

        self.begin(rules::READING)?;
        self.phase(round, workload, Phase::Reading, workload.reading(1))?;

        if let Reply::Rules { rules } = self.tell("list", &Command::List)? {
            round.rules = rules.iter().map(hits).collect();
        }
        self.tell("clear", &Command::Clear)?;
        self.begin("checking")?;
        self.phase(round, workload, Phase::Checking, workload.reading(2))?;
        self.settled(round)
    }

    /// Begins a phase: what the trace had so far belongs to the one before.
    fn begin(&mut self, mark: &str) -> Result<(), RoundError> {
        self.catch_up()?;
        self.ledger.begin_phase();
        self.tell("mark", &Command::Mark { name: mark.to_owned() })?;
        Ok(())
    }

    fn phase(&mut self, round: &mut Round, workload: &Workload, phase: Phase, jobs: String) -> Result<(), RoundError> {
        let zero = if phase == Phase::Writing {
            workload.zeroed()
        } else {
            Vec::new()
        };
        let reports: Vec<SoakReport> = self.guest.run(jobs, zero, &mut round.nudges)?;
        self.catch_up()?;
        let (tally, findings) = judge::phase(&self.ledger, workload, phase, &reports, &mut self.aftermath);
        round.phases.insert(phase, tally);
        round.findings.extend(findings);
        let problems = self.ledger.problems();
        round
            .findings
            .extend(problems.into_iter().map(|what| finding(phase, what)));
        self.look_at_the_console(round, phase).map_err(RoundError::Console)
    }

    /// Every request has an end, and the device's own counters say so.
    fn settled(&mut self, round: &mut Round) -> Result<(), RoundError> {
        let stats = self.guest.stats()?;
        let mut find = |what| round.findings.push(finding(Phase::Checking, what));
        if stats.outstanding > 0 || stats.submitted != stats.completed {
            find(format!(
                "of {} requests that were submitted {} were completed and {} are outstanding, though fio has ended \
                and no rule is in force",
                stats.submitted, stats.completed, stats.outstanding
            ));
        }
        let outstanding = self.ledger.outstanding();
        if !outstanding.is_empty() {
            find(format!("the trace has no end of the requests {outstanding:?}"));
        }
        if stats.trace_lost > 0 || stats.malformed > 0 {
            find(format!(
                "{} lines of the trace are missing, {} requests were malformed",
                stats.trace_lost, stats.malformed
            ));
        }
        Ok(())
    }

    /// What the guest's kernel complained of.
    fn look_at_the_console(&mut self, round: &mut Round, phase: Phase) -> io::Result<()> {
        let console = self.guest.machine.console_log()?;
        let new = unread(&console, self.console)?;
        // A line without an end is looked at once more, with what follows.
        self.console += whole_lines(new);
        let findings = complaints(new).map(|line| finding(phase, format!("the guest's kernel says: {line}")));
        round.findings.extend(findings);
        Ok(())
    }

    /// Takes all lines that the trace has by now.
    fn catch_up(&mut self) -> Result<(), RoundError> {
        self.tell("flush-trace", &Command::FlushTrace)?;
        let ledger = &mut self.ledger;
        self.tail.read(|record| ledger.take(record))?;
        Ok(())
    }

    fn tell(&mut self, name: &'static str, command: &Command) -> Result<Reply, RoundError> {
        Ok(self.guest.machine.device().call(name, command)?)
    }
}

/// What a console has beyond what was looked at. One that is shorter was cut.
fn unread(console: &[u8], looked_at: usize) -> io::Result<&[u8]> {
    console.get(looked_at..).ok_or_else(|| {
        let bytes = console.len();
        io::Error::other(format!(
            "it has {bytes} bytes, and {looked_at} of them were read before"
        ))
    })
}

/// Bytes of the lines that have an end.
fn whole_lines(text: &[u8]) -> usize {
    text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
}

/// What a kernel says that rules of a soak cannot have brought about: they make requests fail, and the end of pid 1 is
/// the rig's.
fn complaints(log: &[u8]) -> impl Iterator<Item = String> {
    let of_requests = |kind| {
        matches!(
            kind,
            Kind::IoError | Kind::BufferIoError | Kind::LostWrite | Kind::BtrfsDeviceErrors
        )
    };
    let reports = klog::read(log).into_iter();
    reports
        .filter(move |report| !of_requests(report.kind) && !report.title.contains("Attempted to kill init"))
        .map(|report| report.title)
}

fn finding(phase: Phase, what: String) -> Finding {
    Finding {
        phase,
        what,
        range: None,
    }
}

fn hits(status: &RuleStatus) -> RuleHits {
    let action = status.text.parse::<Rule>().map(|rule| rule.action.name());
    RuleHits {
        text: status.text.clone(),
        action: action.unwrap_or_default().to_owned(),
        hits: status.hits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As it grows from look to look, with letters of more than a byte that come in two parts.
    #[test]
    fn no_line_of_a_console_is_lost_between_two_looks() {
        let log = "[    1.0] a caf\u{e9}\n[    2.0] BUG: KASAN: use-after-free in f+0x1/0x2\n".as_bytes();
        for cut in 0..=log.len() {
            let first = unread(&log[..cut], 0).expect("more of it");
            let second = unread(log, whole_lines(first)).expect("more of it");
            let title = "BUG: KASAN: use-after-free in f+0x1/0x2";
            let found = |text| complaints(text).collect::<Vec<_>>();
            assert!(found(first).iter().all(|begun| title.starts_with(begun)), "{cut}");
            let is_known = cut == log.len();
            assert_eq!(
                found(second),
                if is_known { vec![] } else { vec![title.to_owned()] },
                "{cut}"
            );
        }
        let cut = unread(&log[..5], 6).unwrap_err().to_string();
        assert_eq!(cut, "it has 5 bytes, and 6 of them were read before");
    }

    #[test]
    fn what_rules_bring_about_is_no_complaint() {
        let log = "\
[    1.0] I/O error, dev vda, sector 8 op 0x1:(WRITE) flags 0x0 phys_seg 1 prio class 2
[    1.0] Buffer I/O error on dev vda, logical block 1, lost async page write
[    1.0] WARNING: CPU: 0 PID: 71 at block/blk-mq.c:1 blk_a+0x1/0x2
[    2.0] INFO: task fio:71 blocked for more than 120 seconds.
[    3.0] Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b
";
        assert_eq!(
            complaints(log.as_bytes()).collect::<Vec<_>>(),
            [
                "WARNING: CPU: 0 PID: 71 at block/blk-mq.c:1 blk_a+0x1/0x2",
                "INFO: task fio:71 blocked for more than 120 seconds."
            ]
        );
    }
}
