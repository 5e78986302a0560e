//! Progress for a person: bars on a terminal, one line a step everywhere else.

use std::borrow::Cow;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a spinner turns.
const TICK_MS: u64 = 120;

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
        self.step(ProgressBar::new(total), style.ok(), label.into())
    }

    /// Starts a step whose length is not known.
    #[must_use]
    pub fn spinner(&self, label: impl Into<Cow<'static, str>>) -> Step {
        let step = self.step(ProgressBar::new_spinner(), None, label.into());
        step.bar.enable_steady_tick(Duration::from_millis(TICK_MS));
        step
    }

    /// Starts a step that lasts so many seconds.
    #[must_use]
    pub fn seconds(&self, label: impl Into<Cow<'static, str>>, total: u64) -> Step {
        let style = ProgressStyle::with_template("{elapsed_precise} of {prefix} [{bar:24}] {msg}");
        let (hours, minutes) = (total / 3600, total / 60 % 60);
        let bar = ProgressBar::new(total).with_prefix(format!("{hours:02}:{minutes:02}:{:02}", total % 60));
        let step = self.step(bar, style.ok(), label.into());
        step.bar.enable_steady_tick(Duration::from_secs(1));
        step
    }

    /// Starts a step that counts things, of which there may be so many.
    #[must_use]
    pub fn count(&self, label: impl Into<Cow<'static, str>>, total: Option<u64>) -> Step {
        match total {
            Some(total) => {
                let style = ProgressStyle::with_template("{msg:48!} [{bar:24}] {pos:>6} / {len} {eta:>5}");
                self.step(ProgressBar::new(total), style.ok(), label.into())
            }
            None => {
                let style = ProgressStyle::with_template("{spinner} {msg:46!} {pos:>6} {elapsed:>5}");
                let step = self.step(ProgressBar::new_spinner(), style.ok(), label.into());
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

    fn step(&self, bar: ProgressBar, style: Option<ProgressStyle>, label: Cow<'static, str>) -> Step {
        let bar = self.bars.add(bar);
        if let Some(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        if self.lines {
            crate::print::note!("{label}");
        }
        bar.set_message(label);
        Step { bar }
    }
}

/// One step; its bar goes away when this is dropped.
#[derive(Debug)]
pub struct Step {
    bar: ProgressBar,
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
