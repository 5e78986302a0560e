//! The flow of a job, phase by phase, and what ends it early.

use std::collections::HashSet;
use std::io;

use guest_wire::{
    DUMPED, Event, EventSeal, ExecTime, Fs, GuestMessage, HostMessage, Job, JobKind, LogPiece, Phase, PhaseOutcome,
    Want,
};

use super::kmsg::LogReader;
use super::output::Output;
use super::phase::{PhaseProcess, Wake};
use super::serial::Serial;
use super::{boot, counters, kmsg, sample};
use crate::errno;
use crate::reporter::{ProgramMessage, Reply};
use crate::state;

/// The agent while it runs one job.
#[derive(Debug)]
pub(crate) struct Runner<'a> {
    serial: &'a mut Serial,
    next_question: &'a mut u64,
    job: &'a Job,
    /// Count and hash of the events that were sent.
    seal: EventSeal,
    /// The kernel's log since the job began.
    log: Option<LogReader>,
}

impl<'a> Runner<'a> {
    /// Ready to run this job; `next_question` goes on counting over jobs.
    pub(crate) fn new(serial: &'a mut Serial, next_question: &'a mut u64, job: &'a Job) -> Runner<'a> {
        Runner {
            serial,
            next_question,
            job,
            seal: EventSeal::default(),
            log: None,
        }
    }

    /// Runs the job from `Begin` to `End`.
    ///
    /// # Errors
    /// The serial port or a system call of the watching itself failed; nothing more can be said to the host then.
    pub(crate) fn run(mut self) -> io::Result<()> {
        counters::clear_warn_once();
        let log = LogReader::from_mark(&format!("begin {}", self.job.case));
        self.begin(log)?;
        self.event(Event::Counters(counters::read()))?;
        if let Err(error) = clear_state() {
            self.event(Event::Note {
                text: format!("{} cannot be emptied: {}", state::DIR, errno::io_name(&error)),
            })?;
        }
        if self.phase(Phase::Mount, &self.mount_words("do-mount"))? == PhaseOutcome::Done {
            self.mounted()?;
        }
        self.ask(&Want::Check)?;
        kmsg::write(&format!("end {}", self.job.case));
        self.event(Event::Counters(counters::read()))?;
        self.pass_log_on()?;
        self.event(self.seal.end())
    }

    /// Says that the job begins, and at once what the log has, which goes from its mark on.
    fn begin(&mut self, log: io::Result<LogReader>) -> io::Result<()> {
        self.event(Event::Begin)?;
        match log {
            Ok(log) => {
                self.log = Some(log);
                // Soon the mark may be overwritten.
                self.pass_log_on()
            }
            Err(error) => self.log_unreadable(&error),
        }
    }

    /// Sends what came into the kernel's log.
    fn pass_log_on(&mut self) -> io::Result<()> {
        self.pass_on(LogReader::read)
    }

    fn pass_on(&mut self, read: fn(&mut LogReader) -> io::Result<Vec<LogPiece>>) -> io::Result<()> {
        match self.log.as_mut().map(read).transpose() {
            Ok(pieces) => pieces
                .into_iter()
                .flatten()
                .try_for_each(|piece| self.event(Event::Log(piece))),
            Err(error) => {
                self.log = None;
                self.log_unreadable(&error)
            }
        }
    }

    fn log_unreadable(&mut self, error: &io::Error) -> io::Result<()> {
        self.event(Event::Note {
            text: format!("the kernel's log cannot be read: {}", errno::io_name(error)),
        })
    }

    /// All that follows the first mount.
    fn mounted(&mut self) -> io::Result<()> {
        if let JobKind::Test { .. } = self.job.kind {
            if self.phase(Phase::Setup, &self.program_words("setup")?)? != PhaseOutcome::Done {
                return self.last_umount();
            }
            if self.phase(Phase::Remount, &self.mount_words("do-remount"))? != PhaseOutcome::Done {
                return Ok(());
            }
        }
        if !self.ask(&Want::Arm)? {
            return self.last_umount();
        }
        let outcome = self.phase(Phase::Run, &self.program_words("run")?)?;
        if outcome != PhaseOutcome::Skipped && self.job.fs == Fs::Btrfs {
            self.phase(Phase::Leak, &["do-leak".to_owned()])?;
        }
        let unmounted = self.phase(Phase::Umount, &["do-umount".to_owned()])?;
        self.ask(&Want::Disarm)?;
        if unmounted != PhaseOutcome::Done || outcome == PhaseOutcome::Skipped {
            return Ok(());
        }
        if self.phase(Phase::MountAgain, &self.mount_words("do-mount"))? != PhaseOutcome::Done {
            return Ok(());
        }
        // A run that did not end well left nothing to compare with.
        if matches!(self.job.kind, JobKind::Test { .. }) && outcome == PhaseOutcome::Done {
            self.phase(Phase::Verify, &self.program_words("verify")?)?;
        }
        self.last_umount()
    }

    fn last_umount(&mut self) -> io::Result<()> {
        self.phase(Phase::LastUmount, &["do-umount".to_owned()]).map(|_| ())
    }

    fn mount_words(&self, helper: &str) -> Vec<String> {
        let job = self.job;
        [helper, job.fs.as_str(), &job.device, &job.mount_options]
            .map(str::to_owned)
            .to_vec()
    }

    fn program_words(&self, phase: &str) -> io::Result<Vec<String>> {
        let mut words = vec!["do-exec".to_owned(), self.job.program.clone()];
        match &self.job.kind {
            JobKind::Test { params } => {
                words.push(phase.to_owned());
                words.push(serde_json::to_string(params)?);
            }
            JobKind::Exec { args, .. } => words.extend(args.iter().cloned()),
        }
        Ok(words)
    }

    /// Runs one phase to its end, however long that takes: when it is too long is for the host to say.
    fn phase(&mut self, phase: Phase, words: &[String]) -> io::Result<PhaseOutcome> {
        kmsg::write(&format!("phase {}", phase.name()));
        self.event(Event::PhaseStart { phase })?;
        let (time, output) = match &self.job.kind {
            JobKind::Exec { time, .. } if phase == Phase::Run => (*time, Output::whole()),
            _ => (None, Output::notes()),
        };
        let outcome = match PhaseProcess::start(words) {
            Ok(process) => self.watch(phase, process, time, output)?,
            Err(error) => PhaseOutcome::Failed(format!("start of {}: {}", words.join(" "), errno::io_name(&error))),
        };
        self.event(Event::PhaseEnd {
            phase,
            outcome: outcome.clone(),
        })?;
        self.pass_log_on()?;
        self.event(self.seal.so_far())?;
        Ok(outcome)
    }

    fn watch(
        &mut self,
        phase: Phase,
        mut process: PhaseProcess,
        time: Option<ExecTime>,
        mut output: Output,
    ) -> io::Result<PhaseOutcome> {
        let mut failed = None;
        // Questions of the program that the host has not answered yet.
        let mut asked: HashSet<u64> = HashSet::new();
        loop {
            match process.wait(&*self.serial)? {
                Wake::Report(line) => match serde_json::from_str(&line) {
                    Ok(ProgramMessage::Event(event)) => self.event(event)?,
                    Ok(ProgramMessage::Failed(what)) => failed = Some(what),
                    Ok(ProgramMessage::Want(want)) => {
                        let id = self.question(want)?;
                        asked.insert(id);
                    }
                    Err(error) => {
                        self.event(Event::Note {
                            text: format!("report not understood ({error}): {line}"),
                        })?;
                    }
                },
                Wake::Output(bytes) => self.events(output.take(&bytes))?,
                Wake::Sample => {
                    self.sample(phase, &process)?;
                    if let Some(time) = time {
                        process.end_after(time);
                    }
                }
                Wake::Host => {
                    self.serial.fill()?;
                    while let Some(message) = self.serial.next_received() {
                        match message {
                            Ok(HostMessage::Answer { id, error, text }) if asked.remove(&id) => {
                                let line = serde_json::to_string(&Reply { error, text })?;
                                process.answer(&format!("{line}\n"));
                            }
                            Ok(HostMessage::DumpBlocked) => {
                                // It may never say more.
                                self.events(output.rest())?;
                                self.dump(phase, &process)?;
                            }
                            Ok(HostMessage::PowerOff) => boot::power_off(),
                            Ok(other) => kmsg::write(&format!("unexpected message while a job runs: {other:?}")),
                            Err(error) => kmsg::write(&error.to_string()),
                        }
                    }
                }
                Wake::Over(outcome) => {
                    self.events(output.rest())?;
                    return Ok(failed.map_or(outcome, PhaseOutcome::Failed));
                }
            }
        }
    }

    fn sample(&mut self, phase: Phase, process: &PhaseProcess) -> io::Result<()> {
        let disk = self.job.device.rsplit('/').next().unwrap_or_default();
        self.event(Event::Sample(sample::take(
            phase,
            process.elapsed_ms(),
            std::process::id(),
            disk,
        )))?;
        // A guest that dies next can no longer say it.
        self.pass_log_on()?;
        self.event(self.seal.so_far())
    }

    /// Has the kernel print the stacks of blocked tasks, and sends what came of it.
    fn dump(&mut self, phase: Phase, process: &PhaseProcess) -> io::Result<()> {
        // The stacks may push what nobody has read yet out of the kernel's log.
        self.pass_log_on()?;
        dump_blocked();
        kmsg::write(DUMPED);
        self.pass_on(LogReader::read_dump)?;
        self.sample(phase, process)
    }

    /// Asks something of the agent's own and waits for the answer; says whether it was done.
    fn ask(&mut self, want: &Want) -> io::Result<bool> {
        let id = self.question(want.clone())?;
        loop {
            match self.serial.wait()? {
                Ok(HostMessage::Answer {
                    id: answered, error, ..
                }) if answered == id => {
                    let Some(reason) = error else { return Ok(true) };
                    self.event(Event::Note {
                        text: format!("the host refused {want:?}: {reason}"),
                    })?;
                    return Ok(false);
                }
                Ok(HostMessage::DumpBlocked) => dump_blocked(),
                Ok(HostMessage::PowerOff) => boot::power_off(),
                Ok(other) => kmsg::write(&format!("unexpected message instead of an answer: {other:?}")),
                Err(error) => kmsg::write(&error.to_string()),
            }
        }
    }

    fn question(&mut self, want: Want) -> io::Result<u64> {
        *self.next_question += 1;
        let id = *self.next_question;
        self.serial.send(&GuestMessage::Ask { id, want })?;
        Ok(id)
    }

    fn events(&mut self, events: Vec<Event>) -> io::Result<()> {
        events.into_iter().try_for_each(|event| self.event(event))
    }

    fn event(&mut self, event: Event) -> io::Result<()> {
        let uptime_ms = sample::uptime_ms();
        self.seal.add(uptime_ms, &event);
        self.serial.send(&GuestMessage::Event {
            case: self.job.case.clone(),
            uptime_ms,
            event,
        })
    }
}

/// Asks the kernel for the stacks of all blocked tasks on the console.
pub fn dump_blocked() {
    if let Err(error) = std::fs::write("/proc/sysrq-trigger", "w") {
        kmsg::write(&format!("sysrq-w fails with {}", errno::io_name(&error)));
    }
}

fn clear_state() -> io::Result<()> {
    for entry in std::fs::read_dir(state::DIR)? {
        std::fs::remove_file(entry?.path())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::{UnixDatagram, UnixStream};

    use guest_wire as wire;
    use guest_wire::params::{Parameters, RwVerify, TestParams};

    use super::*;

    fn test_job() -> Job {
        Job {
            case: "rw-verify.large".to_owned(),
            fs: Fs::Btrfs,
            device: "/dev/vda".to_owned(),
            mount_options: String::new(),
            program: "/bin/rw-verify".to_owned(),
            kind: JobKind::Test {
                params: TestParams::RwVerify(RwVerify::PLAIN),
            },
        }
    }

    #[test]
    fn the_mark_of_the_beginning_is_read_before_a_flood_can_overwrite_it() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut serial = Serial::over(ours.into());
        let (log, kernel) = UnixDatagram::pair().unwrap();
        log.set_nonblocking(true).unwrap();
        kernel.send(b"6,7,1,-;bioscope: begin rw-verify.large\n").unwrap();
        let log = LogReader::over(OwnedFd::from(log).into(), "begin rw-verify.large");
        let (job, mut next) = (test_job(), 0);
        Runner::new(&mut serial, &mut next, &job).begin(Ok(log)).unwrap();
        drop(serial);
        let lines = BufReader::new(theirs).lines().map(Result::unwrap);
        let events: Vec<Event> = lines
            .map(|line| match wire::from_line(&format!("{line}\n")) {
                Ok(GuestMessage::Event { event, .. }) => event,
                other => panic!("{other:?}"),
            })
            .collect();
        let [Event::Begin, Event::Log(piece)] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!((piece.first, piece.last, piece.records.len()), (7, 7, 1));
    }

    #[test]
    fn words_of_a_phase() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut serial = Serial::over(ours.into());
        let mut job = test_job();
        let mut next = 0;
        let runner = Runner::new(&mut serial, &mut next, &job);
        assert_eq!(
            runner.program_words("setup").unwrap(),
            [
                "do-exec",
                "/bin/rw-verify",
                "setup",
                "{\"rw-verify\":{\"size\":64,\"sync\":\"none\"}}"
            ]
        );
        assert_eq!(runner.mount_words("do-mount"), ["do-mount", "btrfs", "/dev/vda", ""]);
        job.kind = JobKind::Exec {
            args: vec!["-x".to_owned()],
            time: None,
        };
        let runner = Runner::new(&mut serial, &mut next, &job);
        assert_eq!(
            runner.program_words("run").unwrap(),
            ["do-exec", "/bin/rw-verify", "-x"]
        );
    }
}
