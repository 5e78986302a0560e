//! Runs the kernel's own build, and reads what it says.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use super::error::BuildError;
use super::said::{is_killed, is_of_source, telling};
use super::stop::Stop;
use super::unfinished;
use host::cache::CacheError;
use host::progress::Step;
use host::tool::{self, ToolError};

/// How make is called for one kernel: source, objects, variables.
pub(crate) struct Make<'a> {
    pub(crate) source: &'a Path,
    /// Where everything that is made goes.
    pub(crate) objects: &'a Path,
    /// Variables of this kernel's own.
    pub(crate) variables: BTreeMap<String, String>,
    /// The lock on the build directory; what make starts holds it too, so that a build whose caller was killed keeps
    /// others out until it has ended.
    pub(crate) lock: BorrowedFd<'a>,
    /// Where everything that make says is kept.
    pub(crate) log: &'a Path,
    /// How it is stopped; then it runs below everything else.
    pub(crate) stop: Option<&'a Stop>,
}

impl Make<'_> {
    /// Makes targets; `step` counts what was made.
    ///
    /// # Errors
    /// make is missing or fails: the error has the compiler's own words.
    pub(crate) fn run(&self, targets: &[&str], jobs: usize, step: Option<&Step>) -> Result<u64, BuildError> {
        let mut command = self.command()?;
        command.arg(format!("-j{jobs}")).args(targets);
        let failed = |source| ToolError::Run {
            program: "make".to_owned(),
            source,
        };
        let log = |source| CacheError::io("write", self.log, source);
        let mut file = File::options().create(true).append(true).open(self.log).map_err(log)?;
        writeln!(file, "$ {}", shown(&command)).map_err(log)?;
        let file = Mutex::new(file);
        let lock = self.lock.try_clone_to_owned().map_err(failed)?;
        // The lock's copy must outlive this process in make's hands.
        rustix::io::fcntl_setfd(&lock, rustix::io::FdFlags::empty()).map_err(|errno| failed(errno.into()))?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        unfinished::begin(self.objects)?;
        let spawned = match self.stop {
            Some(stop) => stop.spawn(&mut command),
            None => command.spawn(),
        };
        let mut child = spawned.map_err(failed)?;
        drop(lock);
        let keep = |line: &str| {
            if let Ok(mut file) = file.lock() {
                // A disk that is full shows in what make says, too.
                let _ = writeln!(file, "{line}");
            }
        };
        let (made, said) = heard(&mut child, keep, step);
        let status = child.wait().map_err(failed)?;
        if let Some(stop) = self.stop {
            stop.ended();
        }
        let killed = said.iter().find(|line| is_killed(line)).cloned();
        // A make below this one that was killed has tidied up nothing. One that is asked to stop does.
        let has_tidied_up = status.success() || (status.code().is_some() && killed.is_none());
        if has_tidied_up || self.stop.is_some_and(Stop::is_stopped) {
            unfinished::end(self.objects)?;
        }
        if status.success() {
            return Ok(made);
        }
        if said.iter().any(|line| tool::says_full(line) && !is_of_source(line)) {
            return Err(CacheError::DiskFull {
                path: self.objects.to_owned(),
            }
            .into());
        }
        let targets = targets.join(" ");
        if let Some(said) = killed.or_else(|| status.signal().map(|signal| format!("make: signal {signal}"))) {
            return Err(BuildError::Ended {
                targets,
                said,
                log: self.log.to_owned(),
            });
        }
        Err(BuildError::Make {
            targets,
            said: telling(&said).join("\n"),
            log: self.log.to_owned(),
        })
    }

    fn command(&self) -> Result<Command, ToolError> {
        let make = tool::command("make", "make")?;
        let mut command = match self.stop {
            None => make,
            Some(_) => {
                let mut nice = tool::command("nice", "coreutils")?;
                nice.args(["-n", "19"]).arg(make.get_program());
                nice
            }
        };
        // What the environment says to make is not part of the artifact's name.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            let ours =
                ["PATH", "HOME", "TMPDIR", "LANG", "TERM"].contains(&name.as_str()) || name.starts_with("CCACHE_");
            if !ours {
                command.env_remove(name);
            }
        }
        command
            .env("LC_ALL", "C")
            .args(["--no-print-directory", "-C"])
            .arg(self.source)
            .arg(format!("O={}", self.objects.display()));
        command.arg("ARCH=x86_64");
        for (name, value) in &self.variables {
            command.arg(format!("{name}={value}"));
        }
        Ok(command)
    }
}

/// Reads what make says until it ends: how many objects it made, and what it said of errors. Each line is kept, and
/// counted on `step`.
fn heard(child: &mut Child, keep: impl Fn(&str) + Sync, step: Option<&Step>) -> (u64, Vec<String>) {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        let said = scope.spawn(|| {
            let mut said = Vec::new();
            for line in err.into_iter().flat_map(|err| lines(BufReader::new(err))) {
                keep(&line);
                said.push(line);
            }
            said
        });
        let mut made = 0;
        for line in out.into_iter().flat_map(|out| lines(BufReader::new(out))) {
            keep(&line);
            if is_made(&line) {
                made += 1;
                if let Some(step) = step {
                    step.set(made);
                }
            }
        }
        (made, said.join().unwrap_or_default())
    })
}

/// The command line, for the log.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

fn lines(from: impl BufRead) -> impl Iterator<Item = String> {
    from.split(b'\n')
        .map_while(Result::ok)
        .map(|line| String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// `  CC      fs/open.o`: something was made.
fn is_made(line: &str) -> bool {
    let Some(rest) = line.strip_prefix("  ") else {
        return false;
    };
    let word = rest.split_whitespace().next().unwrap_or_default();
    !word.is_empty()
        && word
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// How many jobs make runs at once.
#[must_use]
pub(crate) fn jobs() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The directory that a build's log goes to, with the name of the kernel in it.
#[must_use]
pub(crate) fn log_path(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("{id}.log"))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    /// What comes of a make that says this and fails, and whether its marker stays.
    fn failed(says: &str) -> (BuildError, bool) {
        let dir = tempfile::tempdir().expect("a directory");
        let (source, objects) = (dir.path().join("source"), dir.path().join("objects"));
        for folder in [&source, &objects] {
            std::fs::create_dir(folder).expect("a directory");
        }
        std::fs::write(source.join("says"), says).expect("a file");
        std::fs::write(source.join("Makefile"), "all:\n\t@cat says >&2; exit 2\n").expect("a file");
        let lock = File::create(dir.path().join("lock")).expect("a file");
        let make = Make {
            source: &source,
            objects: &objects,
            variables: BTreeMap::new(),
            lock: lock.as_fd(),
            log: &dir.path().join("log"),
            stop: None,
        };
        let error = make.run(&["all"], 1, None).expect_err("it fails");
        (error, dir.path().join("make-unfinished").exists())
    }

    #[test]
    fn a_make_below_that_was_killed_has_not_tidied_up() {
        let (error, is_unfinished) = failed("make[3]: *** [scripts/Makefile.build:500: fs/btrfs] Killed\n");
        assert!(matches!(error, BuildError::Ended { .. }) && is_unfinished, "{error}");
        let (error, is_unfinished) = failed("fs/open.c:3:1: error: expected ‘;’\n");
        assert!(matches!(error, BuildError::Make { .. }) && !is_unfinished, "{error}");
    }

    #[test]
    fn what_stands_in_the_source_is_not_what_happened() {
        for words in ["Cannot allocate memory", "No space left on device"] {
            let (error, _) = failed(&format!(
                "fs/a.c:2:1: warning: odd\n    2 | pr_err(\"{words}\");\nfs/open.c:3:1: error: expected ‘;’\n"
            ));
            assert!(matches!(error, BuildError::Make { .. }), "{error}");
        }
        let (error, _) = failed("fs/a.c:2:1: fatal error: error writing to /tmp/a.s: No space left on device\n");
        assert!(
            matches!(error, BuildError::Cache(CacheError::DiskFull { .. })),
            "{error}"
        );
    }

    #[test]
    fn objects_are_counted_and_talk_is_not() {
        for line in [
            "  CC      fs/open.o",
            "  AS      arch/x86/lib/x.o",
            "  LD [M]  fs/a.ko",
            "  GEN     Makefile",
            "  VDSO2C  arch/x86/x.c",
        ] {
            assert!(is_made(line), "{line}");
        }
        for line in [
            "make[1]: Entering directory",
            "#",
            "  kernel is ready",
            "Kernel: arch/x86/boot/bzImage is ready  (#1)",
        ] {
            assert!(!is_made(line), "{line}");
        }
    }
}
