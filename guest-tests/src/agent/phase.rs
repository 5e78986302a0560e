//! One phase of a job: a child process, and the event loop that passes on what it says and looks at it while it runs.

use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};

use guest_wire::{ExecTime, PhaseOutcome};
use rustix::event::{PollFd, PollFlags};
use rustix::io::{Errno, FdFlags};
use rustix::process::{Pid, PidfdFlags};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

use super::lines::Lines;
use super::places::INIT;
use super::sample;
use super::strays::{self, Children, Strays};
use crate::reporter::FD_VARIABLE;
use crate::test::EXIT_SKIPPED;

/// A phase that lasts longer is looked at; nearly all are over before.
const FIRST_SAMPLE_MS: i64 = 1000;
/// Time between two looks.
const SAMPLE_EVERY_MS: i64 = 250;
/// Bytes of output that are read before everything else gets its turn: what a pipe holds.
const OUTPUT_AT_ONCE: usize = 64 << 10;
/// Lowest number of the descriptor that a program gets for its reports: out of the way of those it opens itself.
const REPORT_FD_MIN: i32 = 5;

/// What woke the loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wake {
    /// The host said something.
    Host,
    /// A line of the program's report socket.
    Report(String),
    /// A part of its output, as it came.
    Output(Vec<u8>),
    /// It is time for a look.
    Sample,
    /// The program and all that it started are gone.
    Over(PhaseOutcome),
}

/// The child process of a phase.
#[derive(Debug)]
pub(crate) struct PhaseProcess {
    child: Child,
    exited: OwnedFd,
    report: LineStream<UnixStream>,
    output: Option<PipeReader>,
    timer: OwnedFd,
    started_ms: u64,
    status: Option<ExitStatus>,
    /// Whether its end was seen, since when all that it left running is to end too.
    is_over: bool,
    strays: Strays,
    /// Looks that came, by which the time is told that the program may run.
    looks: i64,
    /// The time that it had, once the agent has ended it for that.
    time_up: Option<ExecTime>,
    ready: Vec<Wake>,
}

/// A stream of lines until its end.
#[derive(Debug)]
struct LineStream<T> {
    stream: Option<T>,
    lines: Lines,
}

impl<T: Read> LineStream<T> {
    fn new(stream: T) -> LineStream<T> {
        LineStream {
            stream: Some(stream),
            lines: Lines::default(),
        }
    }

    /// Reads what is there without waiting.
    fn read(&mut self) -> Vec<String> {
        let bytes = read(&mut self.stream, usize::MAX);
        let mut all = self.lines.push(&bytes);
        if self.stream.is_none() {
            all.extend(self.lines.rest());
        }
        all
    }
}

/// Reads what a stream has, and not much more than so many bytes, without waiting; one that is at its end is gone.
fn read(stream: &mut Option<impl Read>, bytes_max: usize) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = [0u8; 4096];
    while let Some(open) = stream
        && all.len() < bytes_max
    {
        match open.read(&mut buffer) {
            Ok(0) => *stream = None,
            Ok(done) => all.extend_from_slice(&buffer[..done]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(_) => *stream = None,
        }
    }
    all
}

impl PhaseProcess {
    /// Starts `/init` with these words (`do-mount …`, `do-exec PROGRAM …`).
    ///
    /// # Errors
    /// A process or what is needed to watch it cannot be had.
    pub(crate) fn start(words: &[String]) -> io::Result<PhaseProcess> {
        PhaseProcess::spawn(Command::new(INIT).args(words), Strays::in_guest())
    }

    pub(super) fn spawn(command: &mut Command, strays: Strays) -> io::Result<PhaseProcess> {
        let (report, theirs) = UnixStream::pair()?;
        let (output, out) = io::pipe()?;
        report.set_nonblocking(true)?;
        rustix::io::ioctl_fionbio(&output, true)?;
        // Everything that we open is closed on exec, but for this one.
        let theirs = rustix::io::fcntl_dupfd_cloexec(&theirs, REPORT_FD_MIN)?;
        rustix::io::fcntl_setfd(&theirs, FdFlags::empty())?;
        command.env_clear().env("PATH", "/bin").env("HOME", "/");
        command.env(FD_VARIABLE, std::os::fd::AsRawFd::as_raw_fd(&theirs).to_string());
        command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .process_group(0);
        let spawned = command.spawn();
        // The write ends that the command holds would keep the pipe open after the child's end.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = spawned?;
        let exited = rustix::process::pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
        Ok(PhaseProcess {
            child,
            exited,
            report: LineStream::new(report),
            output: Some(output),
            timer: sample_timer()?,
            started_ms: sample::uptime_ms(),
            status: None,
            is_over: false,
            strays,
            looks: 0,
            time_up: None,
            ready: Vec::new(),
        })
    }

    /// How long it has been going on, in milliseconds.
    #[must_use]
    pub(crate) fn elapsed_ms(&self) -> u64 {
        sample::uptime_ms().saturating_sub(self.started_ms)
    }

    /// Writes a line to the program, an answer to what it asked.
    pub(crate) fn answer(&mut self, line: &str) {
        if let Some(stream) = &mut self.report.stream {
            // A program that does not read its answer is not waiting for it.
            let _ = stream.write_all(line.as_bytes());
        }
    }

    /// Waits until something happens; `host` is what the host speaks through.
    ///
    /// # Errors
    /// poll(2) failed.
    pub(crate) fn wait(&mut self, host: impl AsFd) -> io::Result<Wake> {
        loop {
            if !self.ready.is_empty() {
                return Ok(self.ready.remove(0));
            }
            self.poll(host.as_fd())?;
        }
    }

    fn poll(&mut self, host: impl AsFd) -> io::Result<()> {
        let mut fds = vec![
            PollFd::new(&host, PollFlags::IN),
            PollFd::new(&self.timer, PollFlags::IN),
            PollFd::new(&self.exited, PollFlags::IN),
        ];
        let streams = [
            self.report.stream.as_ref().map(AsFd::as_fd),
            self.output.as_ref().map(AsFd::as_fd),
        ];
        fds.extend(
            streams
                .into_iter()
                .flatten()
                .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)),
        );
        match rustix::event::poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let [host, timer, exited] = [0, 1, 2].map(|at: usize| fds.get(at).is_some_and(|fd| !fd.revents().is_empty()));
        // What the program said comes before what became of it.
        self.ready.extend(self.report.read().into_iter().map(Wake::Report));
        // One that never stops writing must not keep us from all else, until it is at its end.
        let bytes_max = if exited { usize::MAX } else { OUTPUT_AT_ONCE };
        let output = read(&mut self.output, bytes_max);
        if !output.is_empty() {
            self.ready.push(Wake::Output(output));
        }
        if host {
            self.ready.push(Wake::Host);
        }
        if timer {
            // A machine that was stopped missed looks; they count as one.
            rustix::io::read(&self.timer, &mut [0u8; 8])?;
            self.looks += 1;
            self.ready.push(Wake::Sample);
        }
        // Zombies are collected at each look, so that they fill neither the looks nor the kernel's table of processes.
        if (exited || timer)
            && let Some(outcome) = self.collect(exited)?
        {
            self.ready.push(Wake::Over(outcome));
        }
        Ok(())
    }

    /// Ends the program, with all that it started, if it has run for as long as it may. One that does not end by
    /// SIGKILL is stuck in the kernel, and goes on to be looked at.
    pub(crate) fn end_after(&mut self, time: ExecTime) {
        let run_ms = FIRST_SAMPLE_MS + (self.looks - 1) * SAMPLE_EVERY_MS;
        if self.time_up.is_none() && self.status.is_none() && u64::try_from(run_ms).is_ok_and(|ms| ms >= time.limit_ms)
        {
            self.time_up = Some(time);
            strays::kill(Pid::from_child(&self.child));
            self.strays.kill_all();
        }
    }

    /// Collects the child and what it left running, which would keep the file system busy; `exited` says whether what
    /// was waited for last has ended. The outcome comes when nothing is left.
    fn collect(&mut self, exited: bool) -> io::Result<Option<PhaseOutcome>> {
        let child = Pid::from_child(&self.child);
        if exited && !self.is_over {
            self.is_over = true;
            // As long as it is a zombie, no other group can have its number.
            if self.status.is_none() {
                strays::kill(child);
            }
        }
        let (children, ended) = strays::reap(child)?;
        if let Some(status) = ended {
            self.status = Some(ExitStatus::from_raw(status.as_raw()));
        }
        let Some(status) = self.status.filter(|_| self.is_over) else {
            return Ok(None);
        };
        if children == Children::Gone {
            // It may have ended by itself at the last moment.
            let ended = self.time_up.filter(|_| status.signal() == Some(9));
            return Ok(Some(ended.map_or_else(|| outcome(status), PhaseOutcome::TimeUp)));
        }
        // Where there is nothing to wait for, the end that was seen wakes the next poll.
        if exited && let Some(end) = self.strays.next_end()? {
            self.exited = end;
        }
        Ok(None)
    }
}

/// Translates an exit status.
#[must_use]
pub(crate) fn outcome(status: ExitStatus) -> PhaseOutcome {
    match (status.code(), status.signal()) {
        (Some(0), _) => PhaseOutcome::Done,
        (Some(code), _) if code == i32::from(EXIT_SKIPPED) => PhaseOutcome::Skipped,
        (Some(code), _) => PhaseOutcome::Exited(code),
        (None, signal) => PhaseOutcome::Signalled(signal.unwrap_or(0)),
    }
}

fn sample_timer() -> io::Result<OwnedFd> {
    let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
    let span = |ms: i64| Timespec {
        tv_sec: ms / 1000,
        tv_nsec: ms % 1000 * 1_000_000,
    };
    let times = Itimerspec {
        it_value: span(FIRST_SAMPLE_MS),
        it_interval: span(SAMPLE_EVERY_MS),
    };
    rustix::time::timerfd_settime(&timer, TimerfdTimerFlags::empty(), &times)?;
    Ok(timer)
}

#[cfg(test)]
mod tests {
    use guest_wire::WhenOver;

    use super::*;

    fn run(script: &str) -> (Vec<Wake>, std::time::Duration) {
        run_within(script, None)
    }

    fn run_within(script: &str, time: Option<ExecTime>) -> (Vec<Wake>, std::time::Duration) {
        let (host, _other) = UnixStream::pair().unwrap();
        let start = std::time::Instant::now();
        let mut command = Command::new("/bin/bash");
        let mut process = PhaseProcess::spawn(command.arg("-c").arg(script), Strays::new(false)).unwrap();
        let mut wakes = Vec::new();
        loop {
            let wake = process.wait(&host).unwrap();
            let over = matches!(wake, Wake::Over(_));
            if let (Wake::Sample, Some(time)) = (&wake, time) {
                process.end_after(time);
            }
            wakes.push(wake);
            if over {
                return (wakes, start.elapsed());
            }
        }
    }

    #[test]
    fn a_phase_is_its_lines_and_its_outcome() {
        let _alone = sample::CHILDREN.lock().unwrap();
        let (wakes, _) = run("echo one; echo two >&2; printf three; exit 77");
        let (over, output) = wakes.split_last().unwrap();
        let output = output.iter().flat_map(|wake| match wake {
            Wake::Output(bytes) => bytes.clone(),
            other => panic!("{other:?}"),
        });
        assert_eq!(String::from_utf8(output.collect()).unwrap(), "one\ntwo\nthree");
        assert_eq!(*over, Wake::Over(PhaseOutcome::Skipped));

        let (wakes, _) = run("echo '{\"failed\":\"x\"}' >&$BIOSCOPE_FD; kill -9 $$");
        assert_eq!(
            wakes,
            [
                Wake::Report("{\"failed\":\"x\"}".to_owned()),
                Wake::Over(PhaseOutcome::Signalled(9))
            ]
        );

        let time = ExecTime {
            limit_ms: 1250,
            then: WhenOver::Error,
        };
        let (wakes, took) = run_within("sleep 100 & exec sleep 100", Some(time));
        assert_eq!(wakes.last(), Some(&Wake::Over(PhaseOutcome::TimeUp(time))));
        assert!(took.as_millis() >= 1250 && took.as_secs() < 30, "{took:?}");

        let (wakes, took) = run("exec sleep 1.4");
        assert_eq!(wakes.last(), Some(&Wake::Over(PhaseOutcome::Done)));
        assert!(wakes.contains(&Wake::Sample) && took.as_secs() < 30, "{wakes:?}");
    }
}
