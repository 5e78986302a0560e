//! One case on a booted machine, from the rollback to the file system check, and the evidence that it leaves.

mod console;
mod gather;
mod last_words;
mod look;

use std::path::Path;
use std::time::{Duration, Instant};

use evidence::EvidenceBundle;
use evidence::context::{CellContext, Plan};
use evidence::hang::HostView;
use evidence::needs::Need;
use evidence::parts::{ARM_MARK, DISARM_MARK, Ending, Fsck, LostPart, ProgramKind, RuleHits, Timed, begin_mark};
use evidence::steal::StealPoint;
use exit::on_one_line;
use guest_wire::{Event, Fs, GuestMessage, HostMessage, Job, JobKind, Sample, Want};
use machine::golden;
use vhost_blk_api::control::{Command, Reply, RuleStatus, Stats};

use crate::ending::{ending_of, vm_end};
use crate::inject;
use crate::watch::Watch;
use machine::{DeviceError, Incoming, Machine};

pub use gather::ConsolePlace;
pub(crate) use gather::power_off;

/// How long the host's checker may take; it takes a fraction of a second.
const CHECK_WITHIN: Duration = Duration::from_secs(300);
/// How much longer it may take because the host had no time for the guest.
const STOLEN_MAX: Duration = Duration::from_secs(600);

/// A job with what its evidence is to say of it.
pub struct JobRequest<'a> {
    /// What the agent gets.
    pub job: &'a Job,
    /// What the device must have seen.
    pub needs: &'a [Need],
    /// What the cell is; its plan is what is injected.
    pub context: CellContext,
    /// How long it may go on without an end and without evidence of a hang; what a program of the user's own is given
    /// comes on top.
    pub limit: Duration,
    /// Directory for the disk's image.
    pub dir: &'a Path,
}

/// Runs a job on a machine whose agent is waiting for one, and gives back all that it left behind. `console` is how far
/// the machine's console was read by the jobs before. Beside it stands what the host took from the guest since the job
/// before, in that job's time.
pub fn run(
    machine: &mut Machine,
    request: JobRequest<'_>,
    console: &mut ConsolePlace,
) -> (EvidenceBundle, Vec<StealPoint>) {
    let JobRequest {
        job,
        needs,
        context,
        limit,
        dir,
    } = request;
    let mut runner = Runner {
        console_from: console.bytes_read(),
        watch: Watch::begin(console.meter(machine)),
        begin: Stats::default(),
        machine,
        plan: &context.plan,
        dir,
        started: Instant::now(),
        marked: (0, 0),
        events: Vec::new(),
        rules: Vec::new(),
        row: Vec::new(),
        fsck: None,
    };
    let (ending, begun) = (runner.follow_to_end(job, limit), runner.watch.begun());
    let Runner {
        events,
        mut rules,
        fsck,
        marked,
        ..
    } = runner;
    if let Ok(now) = hits(machine) {
        merge_hits(&mut rules, now);
    }
    let (ending, fsck) = checked(ending, fsck);
    let mut lost = Vec::new();
    let trace = gather::trace(machine, &job.case).unwrap_or_else(|part| {
        lost.push(part);
        Vec::new()
    });
    let mut text = |part: &str, read: std::io::Result<_>| {
        read.map_err(|error| {
            lost.push(LostPart {
                part: part.to_owned(),
                why: format!("the machine's log cannot be read: {error}"),
            });
        })
        .unwrap_or_default()
    };
    let taken = console.take(|| machine.console_log(), &job.case, begun);
    let (earlier, own) = text("console.log", taken.text);
    let (_, qemu_log) = text("qemu.log", machine.qemu_log().map(|log| (None, log)));
    let evidence = EvidenceBundle {
        clocks: gather::clocks(&events, &trace, marked),
        events,
        trace,
        earlier,
        rules,
        fsck,
        steal: taken.steal,
        qemu_log,
        qemu_end: machine.qemu_end().as_ref().and_then(vm_end),
        lost,
        ..EvidenceBundle::silent(program_kind(&job.kind), needs, context, ending, own)
    };
    (evidence, taken.since_before)
}

/// Without the check that it asked for a job has not finished.
fn checked(ending: Ending, fsck: Option<Result<Fsck, String>>) -> (Ending, Option<Fsck>) {
    match (ending, fsck) {
        (Ending::Finished, Some(Err(reason))) => (Ending::Harness(reason), None),
        (ending, fsck) => (ending, fsck.and_then(Result::ok)),
    }
}

/// What a job runs in the guest, as the judge tells it apart.
pub(crate) fn program_kind(kind: &JobKind) -> ProgramKind {
    match kind {
        JobKind::Test { .. } => ProgramKind::Test,
        JobKind::Exec { .. } => ProgramKind::Exec,
    }
}

struct Runner<'a> {
    machine: &'a mut Machine,
    /// What the host sees of the guest by itself.
    watch: Watch<'a>,
    /// How the device stood when the job was sent.
    begin: Stats,
    plan: &'a Plan,
    dir: &'a Path,
    started: Instant,
    /// Bytes of the console that the jobs before have.
    console_from: u64,
    /// When the device was told of the case's beginning, and when it had done so, in microseconds.
    marked: (u64, u64),
    events: Vec<Timed>,
    rules: Vec<RuleHits>,
    row: Vec<(Sample, HostView)>,
    /// What the host's checker said, or why it was not asked; none until the guest wants it.
    fsck: Option<Result<Fsck, String>>,
}

impl Runner<'_> {
    /// Puts the disk back to the golden image and hands the job over; an ending if that fails.
    fn begin(&mut self, job: &Job) -> Option<Ending> {
        let prepared = (|| {
            let device = self.machine.device();
            device.call("clear", &Command::Clear)?;
            device.call("rollback", &Command::Rollback { to: None })?;
            let name = begin_mark(&job.case);
            let before_us = micros(self.started.elapsed());
            device.call("mark", &Command::Mark { name })?;
            self.marked = (before_us, micros(self.started.elapsed()));
            Ok(())
        })();
        if let Err(error) = prepared {
            return Some(self.device_error(&error));
        }
        match self.stats() {
            Ok(stats) => self.begin = stats,
            Err(ending) => return Some(ending),
        }
        match self.machine.line().send(&HostMessage::Run(job.clone())) {
            Ok(()) => None,
            Err(error) => Some(Ending::Harness(format!("the job cannot be sent to the guest: {error}"))),
        }
    }

    /// All that comes of the job.
    fn follow_to_end(&mut self, job: &Job, limit: Duration) -> Ending {
        let ending = self.begin(job).unwrap_or_else(|| self.follow(job, limit));
        self.hear_out(&ending, job);
        ending
    }

    /// Listens and answers until the job ends in one way or another.
    fn follow(&mut self, job: &Job, limit: Duration) -> Ending {
        let limit = limit + exec_time(&job.kind);
        loop {
            let end = self.started + limit + self.watch.stolen().min(STOLEN_MAX);
            let next = self.machine.line().next(end.min(self.watch.next_look()));
            if next.is_some() {
                self.watch.heard();
            }
            match next {
                Some(Incoming::Message(GuestMessage::Event { case, uptime_ms, event })) if case == job.case => {
                    if let Some(ending) = self.event(uptime_ms, event) {
                        return ending;
                    }
                }
                Some(Incoming::Message(GuestMessage::Ask { id, want })) => {
                    let done = self.answer(job, &want);
                    if let Err(error) = self.machine.line().send(&HostMessage::answer(id, done)) {
                        return Ending::Harness(format!("an answer cannot be sent to the guest: {error}"));
                    }
                }
                Some(Incoming::Message(GuestMessage::Unfit { reason })) => return Ending::Unfit(reason),
                // A line that was garbled may have been a finding: without it nothing can be called a pass.
                Some(Incoming::Noise(line)) => {
                    return Ending::Harness(format!("a line of the guest's agent is not understood: {line}"));
                }
                Some(Incoming::Message(_)) => {}
                Some(Incoming::Closed) => return ending_of(self.machine.outage()),
                None if Instant::now() >= end => return self.out_of_time(limit),
                None => {}
            }
            if Instant::now() >= self.watch.next_look()
                && let Some(ending) = self.look()
            {
                return ending;
            }
        }
    }

    fn event(&mut self, uptime_ms: u64, event: Event) -> Option<Ending> {
        let sample = if let Event::Sample(sample) = &event {
            Some(sample.clone())
        } else {
            None
        };
        let end = matches!(event, Event::End { .. });
        self.take(uptime_ms, event);
        if end {
            return Some(Ending::Finished);
        }
        self.judge_sample(sample?)
    }

    fn take(&mut self, uptime_ms: u64, event: Event) {
        let host_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.events.push(Timed {
            host_ms,
            uptime_ms,
            event,
        });
    }

    /// Does what the guest asks for; gives back what there is to say of it, or why it was not done.
    fn answer(&mut self, job: &Job, want: &Want) -> Result<String, String> {
        match want {
            Want::Arm => self.arm().map(|()| String::new()).map_err(|error| on_one_line(&error)),
            Want::Disarm => self
                .disarm()
                .map(|()| String::new())
                .map_err(|error| on_one_line(&error)),
            Want::Check => {
                let checked = check(self.machine, job.fs, self.dir);
                let answer = checked.as_ref().map(|_| String::new()).map_err(Clone::clone);
                self.fsck = Some(checked);
                answer
            }
            Want::Command { words } => {
                let command = inject::parse_in_guest(words)?;
                if matches!(command, Command::Clear | Command::Remove { .. }) {
                    // Rules that are taken off take their hits along.
                    let now = hits(self.machine).map_err(|error| on_one_line(&error))?;
                    merge_hits(&mut self.rules, now);
                }
                match self.machine.device().call("of the guest", &command) {
                    Ok(reply) => Ok(inject::say(&command, &reply)),
                    Err(DeviceError::Control { source, .. }) => Err(source.to_string()),
                    Err(error) => Err(on_one_line(&error)),
                }
            }
        }
    }

    /// Puts the case's fault plan in force.
    fn arm(&mut self) -> Result<(), DeviceError> {
        let plan = Command::Plan {
            seed: self.plan.seed,
            rules: self.plan.rules.clone(),
        };
        let device = self.machine.device();
        device.call("plan", &plan)?;
        device.call("mark", &Command::Mark { name: ARM_MARK.into() })?;
        Ok(())
    }

    /// Takes every rule off.
    fn disarm(&mut self) -> Result<(), DeviceError> {
        merge_hits(&mut self.rules, hits(self.machine)?);
        let name = DISARM_MARK.into();
        let device = self.machine.device();
        device.call("clear", &Command::Clear)?;
        device.call("mark", &Command::Mark { name })?;
        Ok(())
    }

    /// A control command that failed: because the device is gone, or because it said no.
    fn device_error(&mut self, error: &DeviceError) -> Ending {
        match self.machine.device().ended() {
            Some(how) => Ending::DeviceGone(how),
            None => Ending::Harness(on_one_line(error)),
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// How long a user's own program may run.
fn exec_time(kind: &JobKind) -> Duration {
    match kind {
        JobKind::Exec { time: Some(time), .. } => Duration::from_millis(time.limit_ms),
        _ => Duration::ZERO,
    }
}

fn statuses(machine: &mut Machine) -> Result<Vec<RuleStatus>, DeviceError> {
    match machine.device().call("list", &Command::List)? {
        Reply::Rules { rules } => Ok(rules),
        _ => Ok(Vec::new()),
    }
}

fn hits(machine: &mut Machine) -> Result<Vec<RuleHits>, DeviceError> {
    let hits = statuses(machine)?.into_iter().map(|rule| RuleHits {
        name: rule.name,
        text: rule.text,
        hits: rule.hits,
    });
    Ok(hits.collect())
}

/// Hits are read when the plan is taken off and once more at the end (a hang never takes it off); the larger count
/// stands.
fn merge_hits(known: &mut Vec<RuleHits>, now: Vec<RuleHits>) {
    for rule in now {
        match known.iter_mut().find(|other| other.name == rule.name) {
            Some(other) => other.hits = other.hits.max(rule.hits),
            None => known.push(rule),
        }
    }
}

/// Exports the disk as it is and has the host's own tools check it.
fn check(machine: &mut Machine, fs: Fs, dir: &Path) -> Result<Fsck, String> {
    let image = dir.join("disk.raw");
    // The device's sandbox lets it write among the machine's files, and nowhere else.
    let path = machine.dir().join("disk.raw");
    machine
        .device()
        .call("export", &Command::export(path.clone()))
        .map_err(|error| on_one_line(&error))?;
    std::fs::rename(&path, &image).map_err(|error| format!("cannot move {}: {error}", path.display()))?;
    Ok(match golden::check(fs, &image, CHECK_WITHIN) {
        Ok(result) => Fsck {
            clean: result.clean,
            unable: result.unable,
            output: result.output,
        },
        Err(error) => Fsck {
            clean: false,
            unable: Some(on_one_line(&error)),
            output: String::new(),
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use vhost_blk_api::plan::Rule;

    use evidence::parts::begin_mark;

    use crate::cases::{EXEC, all};

    #[test]
    fn every_case_begins_at_a_mark_of_its_own() {
        let cases = || all().map(|case| case.name).chain([EXEC]);
        let marks: BTreeSet<String> = cases().map(begin_mark).collect();
        assert_eq!(marks.len(), cases().count(), "{marks:?}");
        for mark in marks {
            let rule = format!("fail write after=mark({mark})");
            rule.parse::<Rule>().unwrap_or_else(|error| panic!("{error}"));
        }
    }
}
