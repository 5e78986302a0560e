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
use super::stop::Stop;
use super::unfinished;
use host::cache::CacheError;
use host::progress::Step;
use host::tool::{self, ToolError};

/// Lines of an error that are shown; the log has all.
const SHOWN_LINES_MAX: usize = 24;

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
        // One that is asked to stop tidies up, too.
        if status.code().is_some() || self.stop.is_some_and(Stop::is_stopped) {
            unfinished::end(self.objects)?;
        }
        if status.success() {
            return Ok(made);
        }
        if said.iter().any(|line| tool::says_full(line)) {
            return Err(CacheError::DiskFull {
                path: self.objects.to_owned(),
            }
            .into());
        }
        let targets = targets.join(" ");
        let killed = said.iter().find(|line| is_killed(line)).cloned();
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

/// Whether a line says that a program of the build was ended from outside, or got no memory: that is not the source's
/// fault. A compiler that crashes by itself is none of these.
fn is_killed(line: &str) -> bool {
    const SIGNALS: [&str; 5] = ["Killed", "Terminated", "Hangup", "Interrupt", "Broken pipe"];
    const NO_MEMORY: [&str; 4] = [
        "virtual memory exhausted",
        "memory exhausted",
        "out of memory allocating",
        "Cannot allocate memory",
    ];
    // `gcc: fatal error: Killed signal terminated program cc1`
    let of_compiler = line.contains("fatal error:")
        && SIGNALS
            .iter()
            .any(|signal| line.contains(&format!("{signal} signal terminated program")));
    // `make[3]: *** [scripts/Makefile.build:250: fs/open.o] Killed`, or the shell's number for it.
    let of_make = line.starts_with("make") && line.contains("*** [") && {
        let end = line.rsplit("] ").next().unwrap_or_default();
        let number = end.strip_prefix("Error ").and_then(|number| number.parse().ok());
        SIGNALS.contains(&end) || number.is_some_and(|number: i32| [129, 130, 137, 141, 143].contains(&number))
    };
    of_compiler || of_make || NO_MEMORY.iter().any(|words| line.contains(words))
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

/// The file in which a line says that Kconfig's language is wrong: `lib/Kconfig:2: syntax error`. Warnings keep nothing
/// from being configured.
#[must_use]
pub fn kconfig_complaint(line: &str) -> Option<&str> {
    let (path, rest) = line.split_once(':')?;
    let (number, what) = rest.split_once(':')?;
    let name = path.rsplit('/').next()?;
    let is_one = name.starts_with("Kconfig") && !path.contains(' ');
    let is_line = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_one && is_line && !what.trim_start().starts_with("warning")).then_some(path)
}

/// The lines that say what went wrong: from the first error on, without make's own farewells.
fn telling(said: &[String]) -> Vec<String> {
    let is_error = |line: &String| {
        [
            "error:",
            "undefined reference",
            "multiple definition",
            "No rule to make",
            "not found",
            "*** ",
        ]
        .iter()
        .any(|words| line.contains(words))
            || kconfig_complaint(line).is_some()
    };
    let is_farewell = |line: &str| line.starts_with("make[") && line.contains("Waiting for unfinished jobs");
    let at = said.iter().position(is_error).unwrap_or(0);
    // gcc says in which function, or through which headers, on the lines before.
    let context = |line: &String| {
        line.contains(": In function")
            || line.starts_with("In file included")
            || line.starts_with("                 from")
    };
    let start = (0..at)
        .rev()
        .take_while(|index| said.get(*index).is_some_and(context))
        .last()
        .unwrap_or(at);
    said.iter()
        .skip(start)
        .filter(|line| !is_farewell(line))
        .take(SHOWN_LINES_MAX)
        .cloned()
        .collect()
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
    use super::*;

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

    #[test]
    fn a_program_that_was_killed_says_nothing_of_the_source() {
        for line in [
            "gcc: fatal error: Killed signal terminated program cc1",
            "x86_64-linux-gnu-gcc-12: fatal error: Terminated signal terminated program as",
            "make[3]: *** [scripts/Makefile.build:250: fs/open.o] Killed",
            "make[1]: *** [/c/source/Makefile:1250: vmlinux] Error 137",
            "cc1: out of memory allocating 65536 bytes after a total of 1 bytes",
            "ld: final link failed: memory exhausted",
        ] {
            assert!(is_killed(line), "{line}");
        }
        for line in [
            "make[3]: *** [scripts/Makefile.build:250: fs/open.o] Error 1",
            "make[3]: *** [scripts/Makefile.build:250: fs/open.o] Error 2",
            "fs/open.c:3:1: internal compiler error: Segmentation fault",
            "gcc: fatal error: Segmentation fault signal terminated program cc1",
            "fs/open.c:7:9: error: 'Killed' undeclared",
            "make[2]: *** [Makefile:9: all] Error 127",
        ] {
            assert!(!is_killed(line), "{line}");
        }
    }

    #[test]
    fn kconfigs_words_come_before_makes() {
        // As Linux 6.1 says it; the warning is one that a configuration can have for long.
        let said = [
            "  GEN     Makefile",
            "drivers/a/Kconfig:7:warning: config symbol defined without type",
            "lib/Kconfig:2: syntax error",
            "lib/Kconfig:1: unknown statement \"confgi\"",
            "make[4]: *** [source/scripts/kconfig/Makefile:77: allnoconfig] Error 1",
        ]
        .map(str::to_owned);
        let telling = telling(&said);
        assert_eq!(telling.first().map(String::as_str), Some("lib/Kconfig:2: syntax error"));
        assert_eq!(
            kconfig_complaint("fs/btrfs/Kconfig.debug:3: unexpected option"),
            Some("fs/btrfs/Kconfig.debug")
        );
        for other in [
            "source/scripts/kconfig/Makefile:77: x",
            "see Kconfig:12: there",
            "lib/Kconfig: no line",
            "Kconfig",
        ] {
            assert_eq!(kconfig_complaint(other), None, "{other}");
        }
    }

    #[test]
    fn the_compilers_words_come_first() {
        let said = [
            "warning: something",
            "/src/fs/open.c: In function ‘do_open’:",
            "/src/fs/open.c:12:3: error: expected ‘;’ before ‘}’ token",
            "   12 |   return 0",
            "make[3]: *** [scripts/Makefile.build:250: fs/open.o] Error 1",
            "make[3]: *** Waiting for unfinished jobs....",
        ]
        .map(str::to_owned);
        let telling = telling(&said);
        assert_eq!(
            telling.first().map(String::as_str),
            Some("/src/fs/open.c: In function ‘do_open’:")
        );
        assert_eq!(telling.len(), 4);
    }
}
