//! What the host needs, what it has, and how to get the rest.

mod error;
mod install;
pub mod needs;

use std::io::{BufRead, IsTerminal, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use crate::tool;
pub use error::DoctorError;
use needs::{Need, Source, State};

const QEMU: &str = "qemu-system-x86_64";
const ASK_DEADLINE: Duration = Duration::from_secs(30);
/// QEMU boots an ELF through PVH since 4.0; older ones than this were never tried.
const QEMU_VERSION_MIN: (u32, u32) = (5, 2);
const QEMU_DEVICE: &str = "vhost-user-blk-pci";

/// Makes sure that the host has what every run needs, and these programs, which not every run needs. Silent if it has;
/// else installs (`yes`), asks (on a terminal), or says what to run.
///
/// # Errors
/// Something is missing or unfit.
pub fn ensure_with(programs: &[&str], yes: bool) -> Result<(), DoctorError> {
    let wanted = |need: &Need| need.required || programs.contains(&need.program);
    let missing: Vec<&Need> = needs::ALL
        .iter()
        .filter(|need| wanted(need) && !need.is_met())
        .collect();
    if !missing.is_empty() {
        obtain(&missing, yes)?;
    }
    qemu_is_fit()
}

/// Makes sure that the host can build kernels, as [`ensure_with`] does for runs.
///
/// # Errors
/// Something is missing.
pub fn ensure_builders(yes: bool) -> Result<(), DoctorError> {
    ensure(&needs::BUILD, yes)
}

/// Makes sure that the host can open package files, as [`ensure_with`] does for runs.
///
/// # Errors
/// Something is missing.
pub fn ensure_openers(yes: bool) -> Result<(), DoctorError> {
    ensure(&needs::PACKAGE_FILES, yes)
}

fn ensure(needed: &[Need], yes: bool) -> Result<(), DoctorError> {
    let missing: Vec<&Need> = needed.iter().filter(|need| !need.is_met()).collect();
    if missing.is_empty() {
        Ok(())
    } else {
        obtain(&missing, yes)
    }
}

/// Shows all that the host needs and has, then does as [`ensure_with`]; optional tools are installed too.
///
/// # Errors
/// Something is missing or unfit.
pub fn report(yes: bool) -> Result<(), DoctorError> {
    let (good, bad) = (style(AnsiColor::Green), style(AnsiColor::Red));
    for need in needs::all() {
        let (mark, found) = match need.state() {
            State::Found(version) => (format!("{good}✓{good:#}"), version),
            State::Missing => (format!("{bad}✗{bad:#}"), format!("missing: {}", need.source.describe())),
        };
        crate::print::out!("{mark} {:<20} {found}\n  {:<20} {}", need.program, "", need.why);
    }
    let missing: Vec<&Need> = needs::all().filter(|need| !need.is_met()).collect();
    if missing.is_empty() {
        qemu_is_fit()?;
        crate::print::out!("this machine has all that is needed");
        return Ok(());
    }
    obtain(&missing, yes)?;
    qemu_is_fit()
}

/// The version that QEMU tells of itself: `7.2.22`.
#[must_use]
pub fn qemu_version() -> Option<String> {
    let finished = tool::run(
        tool::command(QEMU, "qemu-system-x86").ok()?.arg("--version"),
        ASK_DEADLINE,
    )
    .ok()?;
    needs::version_in(&finished.text())
}

fn style(color: AnsiColor) -> Style {
    Style::new().fg_color(Some(color.into()))
}

fn qemu_is_fit() -> Result<(), DoctorError> {
    let version = qemu_version().unwrap_or_default();
    if let Some(reason) = too_old(&version) {
        return Err(DoctorError::Unfit { reason });
    }
    let mut command = tool::command(QEMU, "qemu-system-x86")?;
    let devices = tool::run(command.args(["-device", "help"]), ASK_DEADLINE)?.text();
    if !devices.contains(QEMU_DEVICE) {
        let reason = format!("QEMU {version} was built without the device {QEMU_DEVICE}");
        return Err(DoctorError::Unfit { reason });
    }
    Ok(())
}

fn too_old(version: &str) -> Option<String> {
    let mut numbers = version.split('.').map_while(|word| word.parse::<u32>().ok());
    let found = (numbers.next()?, numbers.next().unwrap_or(0));
    let (major, minor) = QEMU_VERSION_MIN;
    (found < QEMU_VERSION_MIN).then(|| format!("QEMU {version} is too old: {major}.{minor} or later is needed"))
}

fn obtain(missing: &[&Need], yes: bool) -> Result<(), DoctorError> {
    let plan = install::Plan::new(missing);
    let names = |needs: &[&Need]| needs.iter().map(|need| need.program).collect::<Vec<_>>().join(", ");
    if !yes && !agreed(&names(missing), &plan.to_string()) {
        return Err(DoctorError::Missing {
            missing: names(missing),
            command: plan.to_string(),
        });
    }
    plan.run()?;
    let still: Vec<&Need> = missing.iter().copied().filter(|need| !need.is_met()).collect();
    if still.is_empty() {
        return Ok(());
    }
    Err(DoctorError::StillMissing {
        missing: names(&still),
        command: plan.to_string(),
    })
}

/// Asks, if there is a person to ask.
fn agreed(missing: &str, command: &str) -> bool {
    let (stdin, mut stderr) = (std::io::stdin(), std::io::stderr());
    if !stdin.is_terminal() || !stderr.is_terminal() {
        return false;
    }
    // Whoever cannot see the question will not answer it either.
    let _ = write!(stderr, "this machine lacks {missing}\nrun `{command}` now? [y/N] ");
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

impl Source {
    fn describe(&self) -> String {
        match self {
            Source::Package(package) => format!("apt-get install {package}"),
            Source::Cargo(name) => format!("cargo install --locked {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_qemus_are_refused() {
        assert_eq!(too_old("7.2.22"), None);
        assert_eq!(too_old("5.2.0"), None);
        assert_eq!(too_old("10.0.2"), None);
        insta::assert_snapshot!(too_old("4.2.1").unwrap(), @"QEMU 4.2.1 is too old: 5.2 or later is needed");
    }
}
