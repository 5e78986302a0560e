//! Progress for a person: bars on a terminal, one line a step and a minute everywhere else.

use std::borrow::Cow;
use std::io::IsTerminal;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a spinner turns.
const TICK_MS: u64 = 120;
/// How often a step that goes on says so where there is no bar: the log of a CI must not look stuck.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Shows steps on standard error.
#[derive(Debug, Clone)]
pub struct Progress {
    bars: MultiProgress,
    lines: bool,
}

impl Progress {
    /// Bars if standard error is a terminal, plain lines if not.
    #[must_use]
    pub fn stderr() -> Self {
        if std::io::stderr().is_terminal() {
            Progress {
                bars: MultiProgress::new(),
                lines: false,
            }
        } else {
            Progress {
                bars: MultiProgress::with_draw_target(ProgressDrawTarget::hidden()),
                lines: true,
            }
        }
    }

    /// Whether a step is a line.
    #[must_use]
    pub fn has_lines(&self) -> bool {
        self.lines
    }

    /// Shows nothing.
    #[must_use]
    pub fn hidden() -> Self {
        Progress {
            bars: MultiProgress::with_draw_target(ProgressDrawTarget::hidden()),
            lines: false,
        }
    }

    /// Starts a step that counts bytes.
    #[must_use]
    pub fn bytes(&self, label: impl Into<Cow<'static, str>>, total: u64) -> Step {
        let style = ProgressStyle::with_template("{msg:48!} [{bar:24}] {bytes:>11} / {total_bytes} {bytes_per_sec}");
        self.step(ProgressBar::new(total), style.ok(), label.into(), Unit::Bytes)
    }

    /// Starts a step whose length is not known.
    #[must_use]
    pub fn spinner(&self, label: impl Into<Cow<'static, str>>) -> Step {
        let step = self.step(ProgressBar::new_spinner(), None, label.into(), Unit::Nothing);
        step.bar.enable_steady_tick(Duration::from_millis(TICK_MS));
        step
    }

    /// Starts a step that lasts so many seconds.
    #[must_use]
    pub fn seconds(&self, label: impl Into<Cow<'static, str>>, total: u64) -> Step {
        let style = ProgressStyle::with_template("{elapsed_precise} of {prefix} [{bar:24}] {msg}");
        let (hours, minutes) = (total / 3600, total / 60 % 60);
        let bar = ProgressBar::new(total).with_prefix(format!("{hours:02}:{minutes:02}:{:02}", total % 60));
        let step = self.step(bar, style.ok(), label.into(), Unit::Nothing);
        step.bar.enable_steady_tick(Duration::from_secs(1));
        step
    }

    /// Starts a step that counts things, of which there may be so many.
    #[must_use]
    pub fn count(&self, label: impl Into<Cow<'static, str>>, total: Option<u64>) -> Step {
        match total {
            Some(total) => {
                let style = ProgressStyle::with_template("{msg:48!} [{bar:24}] {pos:>6} / {len} {eta:>5}");
                self.step(ProgressBar::new(total), style.ok(), label.into(), Unit::Things)
            }
            None => {
                let style = ProgressStyle::with_template("{spinner} {msg:46!} {pos:>6} {elapsed:>5}");
                let step = self.step(ProgressBar::new_spinner(), style.ok(), label.into(), Unit::Things);
                step.bar.enable_steady_tick(Duration::from_millis(TICK_MS));
                step
            }
        }
    }

    /// Says one line above the bars.
    pub fn say(&self, line: &str) {
        if self.lines {
            crate::print::note!("{line}");
        } else {
            // A terminal that went away must not stop the work.
            let _ = self.bars.println(line);
        }
    }

    fn step(&self, bar: ProgressBar, style: Option<ProgressStyle>, label: Cow<'static, str>, unit: Unit) -> Step {
        let bar = self.bars.add(bar);
        if let Some(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        if self.lines {
            crate::print::note!("{label}");
        }
        bar.set_message(label);
        let teller = self.lines.then(|| {
            let bar = bar.clone();
            Teller::start(TELL_EVERY, move |passed| {
                crate::print::note!("{}", so_far(&bar, unit, passed));
            })
        });
        Step { bar, _teller: teller }
    }
}

/// What a step counts.
#[derive(Debug, Clone, Copy)]
enum Unit {
    Nothing,
    Bytes,
    Things,
}

/// `building a: 812 of 2,004, 3 min so far`.
fn so_far(bar: &ProgressBar, unit: Unit, passed: Duration) -> String {
    let number = |count| match unit {
        Unit::Bytes => HumanBytes(count).to_string(),
        Unit::Nothing | Unit::Things => HumanCount(count).to_string(),
    };
    let counted = match (unit, bar.length()) {
        (Unit::Nothing, _) => String::new(),
        (_, Some(total)) => format!(" {} of {},", number(bar.position()), number(total)),
        (_, None) => format!(" {},", number(bar.position())),
    };
    format!("{}:{counted} {} min so far", bar.message(), passed.as_secs() / 60)
}

/// Tells again and again that something goes on, until it is dropped.
#[derive(Debug)]
struct Teller {
    /// Closed to end it.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Teller {
    fn start(every: Duration, tell: impl Fn(Duration) + Send + 'static) -> Teller {
        let (stop, stopped) = mpsc::channel();
        let started = Instant::now();
        let run = move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                tell(started.elapsed());
            }
        };
        Teller {
            stop: Some(stop),
            // Without a thread nothing is told, and the work goes on.
            thread: std::thread::Builder::new().spawn(run).ok(),
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One step; its bar goes away when this is dropped.
#[derive(Debug)]
pub struct Step {
    bar: ProgressBar,
    /// Where there is no bar to look at.
    _teller: Option<Teller>,
}

impl Step {
    /// So much is done.
    pub fn set(&self, position: u64) {
        self.bar.set_position(position);
    }

    /// What is being done now.
    pub fn label(&self, label: impl Into<Cow<'static, str>>) {
        self.bar.set_message(label);
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_goes_on_is_told_until_it_ends() {
        let (tell, told) = mpsc::channel();
        let teller = Teller::start(Duration::from_millis(1), move |passed| {
            let _ = tell.send(passed);
        });
        let times: Vec<Duration> = told.iter().take(3).collect();
        assert!(times.is_sorted() && times[0] >= Duration::from_millis(1), "{times:?}");
        drop(teller);
        // Its end of the channel went with it.
        let _ = told.try_iter().count();
        assert!(told.recv().is_err());
    }

    #[test]
    fn what_is_told_counts_what_the_bar_counts() {
        let bar = ProgressBar::hidden();
        bar.set_message("building a");
        bar.set_position(1_812);
        let three = Duration::from_secs(185);
        assert_eq!(so_far(&bar, Unit::Nothing, three), "building a: 3 min so far");
        assert_eq!(so_far(&bar, Unit::Things, three), "building a: 1,812, 3 min so far");
        bar.set_length(2_004);
        assert_eq!(
            so_far(&bar, Unit::Things, three),
            "building a: 1,812 of 2,004, 3 min so far"
        );
        bar.set_position(1 << 20);
        bar.set_length(3 << 20);
        assert_eq!(
            so_far(&bar, Unit::Bytes, three),
            "building a: 1.00 MiB of 3.00 MiB, 3 min so far"
        );
    }
}
