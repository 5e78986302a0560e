//! Where the command is run: a directory with a kernels.toml, and a cache and runs that do not exist yet.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::clone;

pub const MANIFEST: &str = "[[kernel]]\nid = \"debian-6.1.176\"\nsuite = \"bookworm\"\npackage = \"linux-image-a\"\n\
    version = \"6.1.176-1\"\nfs = [\"btrfs\"]\n";

/// A directory of its own, gone with the value.
pub struct Place {
    dir: tempfile::TempDir,
    /// What differs from run to run, and what stands for it in messages.
    hidden: RefCell<Vec<(String, &'static str)>>,
}

impl Place {
    pub fn new() -> Place {
        let place = Place {
            dir: tempfile::tempdir().unwrap(),
            hidden: RefCell::default(),
        };
        place.hide(&place.dir().display(), "DIR");
        place.file("kernels.toml", MANIFEST);
        // apt reads this file before all others: a test's archive stands in for the machine's, and a directory that
        // must never come to be for the machine's own lists of packages.
        place.file(
            "apt.conf",
            &format!(
                "Dir::State \"{0}/machine\";\nDir::Cache \"{0}/machine\";\n\
                 Dir::Etc::sourcelist \"{0}/sources.list\";\nDir::Etc::sourceparts \"-\";\n\
                 Acquire::http::Proxy::127.0.0.1 \"DIRECT\";\n\
                 Acquire::http::Proxy::mirror.invalid \"DIRECT\";\n\
                 Acquire::Retries::Delay \"false\";\n",
                place.dir().display()
            ),
        );
        place
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Lets `name` stand for a text that differs from run to run.
    pub fn hide(&self, text: &impl ToString, name: &'static str) {
        let mut hidden = self.hidden.borrow_mut();
        hidden.push((text.to_string(), name));
        // The longest first: a port's digits may stand in a sum by chance.
        hidden.sort_by_key(|(text, _)| Reverse(text.len()));
    }

    /// A text without what differs from run to run.
    pub fn plain(&self, text: &str) -> String {
        let hidden = self.hidden.borrow();
        hidden
            .iter()
            .fold(text.to_owned(), |text, (hidden, name)| text.replace(hidden, name))
    }

    pub fn cache(&self) -> PathBuf {
        self.dir().join("cache")
    }

    pub fn file(&self, name: &str, text: &str) {
        std::fs::write(self.dir().join(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir().join(name)).unwrap()
    }

    /// Lets a command run in this place, with our cache, runs and archive.
    pub fn prepare(&self, command: &mut Command) {
        command
            .current_dir(self.dir())
            .stdin(Stdio::null())
            .env("NO_COLOR", "1")
            .env("HOME", self.dir().join("home"))
            .env("APT_CONFIG", self.dir().join("apt.conf"))
            .env("BIOSCOPE_CACHE", self.cache())
            .env("BIOSCOPE_RUNS", self.dir().join("runs"))
            .env_remove("http_proxy");
    }

    /// The command itself.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(clone::bioscope());
        self.prepare(&mut command);
        command.args(args);
        command
    }

    /// Runs the command: messages, then the exit code.
    pub fn run(&self, args: &[&str]) -> String {
        self.shown(self.command(args).output().unwrap())
    }

    /// What a person sees of a command that ended: never a stack trace.
    pub fn shown(&self, output: Output) -> String {
        let text = [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8(bytes).unwrap())
            .concat();
        self.checked(&format!("{text}exit code {}", output.status.code().unwrap()))
    }

    /// Messages as a person may see them.
    pub fn checked(&self, text: &str) -> String {
        for trace in ["panicked", "RUST_BACKTRACE", "stack backtrace"] {
            assert!(!text.contains(trace), "{text}");
        }
        assert!(
            !self.dir().join("machine").exists(),
            "apt used the machine's own lists: {text}"
        );
        self.plain(text)
    }

    /// `test` with our kernels.toml; `--list` guards against anything being started by mistake.
    pub fn list(&self, args: &[&str]) -> String {
        self.run(&[&["test", "--manifest", "kernels.toml", "--list"], args].concat())
    }

    /// `test` with our kernels.toml, which ends before it boots anything: no package of a test's archive holds a
    /// kernel.
    pub fn test(&self, args: &[&str]) -> String {
        self.run(&[&["test", "--manifest", "kernels.toml"], args].concat())
    }

    /// `update` with our kernels.toml.
    pub fn update(&self) -> String {
        self.run(&["update", "--manifest", "kernels.toml"])
    }

    /// Files that packages or kernels were kept in, whole or half: what stands in the cache but for locks and apt's
    /// own.
    pub fn kept(&self) -> Vec<String> {
        let mut kept = Vec::new();
        walk(&self.cache(), &mut kept);
        let cache = self.cache();
        let mut kept: Vec<String> = kept
            .iter()
            .map(|path| self.plain(&path.strip_prefix(&cache).unwrap().display().to_string()))
            .filter(|path| !path.starts_with("locks/") && !path.starts_with("apt/") && !path.ends_with("/.lock"))
            .collect();
        kept.sort();
        kept
    }
}

/// All files below a directory, and directories that have none.
fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && std::fs::read_dir(&path).unwrap().next().is_some() {
            walk(&path, found);
        } else if !path.is_dir() || entry.file_name().to_string_lossy().starts_with('.') {
            found.push(path);
        }
    }
}
