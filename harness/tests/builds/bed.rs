//! A `kernels.toml` of one kernel, and a cache on a disk of its own whose size can be changed.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::time::SystemTime;

use host::cache::Cache;
use host::progress::Progress;
use kernels::{Manifest, Options, Source, source_tree};
use rustix::fs::inotify;

use super::clone;
use super::namespace::{self, Namespace};

/// The kernel's id.
const ID: &str = "tiny";
const SOURCE: &str = "suite = \"bookworm-security\"\nsource-package = \"linux-source-6.1\"\nversion = \"6.1.192-2\"\n";

/// What a test has.
pub struct Bed {
    dir: tempfile::TempDir,
    /// Where the disk is mounted, in a mount namespace of its own.
    disk: PathBuf,
    /// Keeps the namespace, and changes the disk in it as it is told.
    keeper: Child,
    /// Gone when the keeper is to end.
    tell: Option<ChildStdin>,
    said: BufReader<ChildStdout>,
}

impl Bed {
    /// A disk of a size, with the kernel's source in it. None if this machine does not let us mount.
    pub fn new(size: &str) -> Option<Bed> {
        let mut command = namespace::enter(Namespace::Mount)?;
        let dir = tempfile::tempdir().expect("a directory");
        let disk = dir.path().join("disk");
        fs::create_dir(&disk).expect("a place for the disk");
        let script = r#"
            mount -t tmpfs -o "size=$2" none "$1" && echo ready || exit
            while read -r verb size; do
                case "$verb" in
                    leave) size=$(( $(df --output=used -k "$1" | tail -n 1) + ${size%m} * 1024 ))k ;;
                esac
                # With both source and place named, mount does not add options of its own,
                # which a user namespace would refuse.
                mount -t tmpfs -o "remount,size=$size" none "$1" && echo ready || exit
            done
        "#;
        let mut keeper = command
            .args(["sh", "-c", script, "sh"])
            .arg(&disk)
            .arg(size)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare runs");
        let tell = keeper.stdin.take();
        let said = BufReader::new(keeper.stdout.take().expect("its answers"));
        let mut bed = Bed {
            dir,
            disk,
            keeper,
            tell,
            said,
        };
        bed.until_ready();
        // What is pinned is fetched and taken in once for all.
        let lock = clone::root().join("kernels.lock");
        fs::copy(lock, bed.dir.path().join("kernels.lock")).expect("kernels.lock");
        bed.declare("]");
        let (repo, tree) = bed.source();
        // That source alone: the user's cache may hold many.
        let script = r#"
            set -e
            git init --quiet --bare "$2"
            for name in $(git -C "$1" for-each-ref --format="%(refname)" refs/sources/); do
                if [ "$(git -C "$1" rev-parse "$name^{tree}")" = "$3" ]; then
                    git -C "$2" fetch --quiet "$1" "$name:$name"
                fi
            done
            git -C "$2" cat-file -e "$3"
        "#;
        let copied = bed
            .there("sh")
            .args(["-c", script, "sh"])
            .arg(repo)
            .arg(bed.disk.join("sources.git"))
            .arg(tree)
            .output()
            .expect("sh runs");
        assert!(copied.status.success(), "{copied:?}");
        Some(bed)
    }

    /// The repository in the user's cache, and the source's tree in it.
    fn source(&self) -> (PathBuf, String) {
        let path = self.manifest();
        let manifest = Manifest::load(&path).expect("kernels.toml");
        let kernel = manifest.kernels().first().expect("a kernel");
        let Source::Tree(source) = &kernel.source else {
            panic!("{ID} comes as source")
        };
        let cache = Cache::of_user().expect("a cache");
        let lock = path.with_extension("lock");
        let (_, tree) =
            source_tree(ID, source, &lock, &cache, &Options::default(), &Progress::hidden()).expect("the source");
        (cache.root().join("sources.git"), tree.id)
    }

    fn manifest(&self) -> PathBuf {
        self.dir.path().join("kernels.toml")
    }

    /// Declares the kernel; `more` ends its configuration.
    pub fn declare(&self, more: &str) {
        let text = format!("[[kernel]]\nid = \"{ID}\"\n{SOURCE}config = [\"tinyconfig\"{more}\n");
        fs::write(self.manifest(), text).expect("kernels.toml");
    }

    /// Declares the kernel with a patch.
    pub fn patch(&self, name: &str, text: &str) {
        self.file(name, text);
        self.declare(&format!("]\npatches = [\"{name}\"]"));
    }

    /// Writes a file beside `kernels.toml`.
    pub fn file(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).expect("a file");
    }

    /// Gives the disk another size.
    pub fn resize(&mut self, size: &str) {
        self.told(&format!("size {size}"));
    }

    /// Leaves only so many mebibytes free on the disk.
    pub fn leave(&mut self, size: &str) {
        self.told(&format!("leave {size}"));
    }

    fn told(&mut self, words: &str) {
        writeln!(self.tell.as_mut().expect("not at its end"), "{words}").expect("the keeper listens");
        self.until_ready();
    }

    fn until_ready(&mut self) {
        let mut line = String::new();
        self.said.read_line(&mut line).expect("the keeper answers");
        assert_eq!(line, "ready\n", "the disk cannot be mounted");
    }

    /// A command that runs where the disk is mounted.
    fn there(&self, program: impl AsRef<OsStr>) -> Command {
        let pid = self.keeper.id();
        let user = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/user")).expect("a user namespace");
        let mut command = Command::new("nsenter");
        command.args(["--target", &pid.to_string(), "--mount"]);
        if user(&pid.to_string()) != user("self") {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg("--").arg(program).stdin(Stdio::null());
        command
    }

    /// A path on the disk, as it is seen from here.
    pub fn inside(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        let root = PathBuf::from(format!("/proc/{}/root", self.keeper.id()));
        root.join(path.strip_prefix("/").expect("an absolute path"))
    }

    /// The command that builds the kernel.
    pub fn build(&self) -> Command {
        let mut command = self.there(clone::bioscope());
        command
            .args(["build", "--offline", "--manifest"])
            .arg(self.manifest())
            .env("BIOSCOPE_CACHE", &self.disk);
        command
    }

    /// Builds the kernel.
    pub fn run(&self) -> (i32, String) {
        outcome(&self.build().output().expect("bioscope runs"))
    }

    /// The image that a build told of.
    pub fn image(&self, text: &str) -> Vec<u8> {
        fs::read(self.inside(artifact(text)).join("bzImage")).expect("an image")
    }

    fn logs(&self) -> PathBuf {
        self.inside(self.disk.join("logs"))
    }

    /// When the log of the kernel's builds was last written.
    pub fn logged(&self) -> Option<SystemTime> {
        fs::metadata(self.logs().join(format!("{ID}.log")))
            .ok()?
            .modified()
            .ok()
    }

    /// Takes the log of earlier builds away.
    pub fn forget_log(&self) {
        fs::remove_file(self.logs().join(format!("{ID}.log"))).expect("a log");
    }

    /// Waits until the build's log tells of so many objects made.
    pub fn until_made(&self, count: usize) {
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC).expect("inotify");
        let what = inotify::WatchFlags::CREATE | inotify::WatchFlags::MODIFY;
        inotify::add_watch(&watch, self.logs(), what).expect("a watch");
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&watch, &mut buffer);
        let log = self.logs().join(format!("{ID}.log"));
        loop {
            let text = fs::read_to_string(&log).unwrap_or_default();
            if text.lines().filter(|line| line.starts_with("  CC ")).count() >= count {
                return;
            }
            events.next().expect("an event");
        }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        // The end of its input ends it, and with it the namespace.
        drop(self.tell.take());
        let _ = self.keeper.wait();
    }
}

/// Exit code and all that a command said.
pub fn outcome(output: &Output) -> (i32, String) {
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    );
    (output.status.code().unwrap_or(-1), text)
}

/// A patch that puts a line before the first of a file's.
pub fn added((path, first): (&str, &str), line: &str) -> String {
    format!("--- a/{path}\n+++ b/{path}\n@@ -1 +1,2 @@\n+{line}\n {first}\n")
}

/// The artifact's directory that a build told of.
pub fn artifact(text: &str) -> PathBuf {
    let line = text
        .lines()
        .find(|line| line.contains(" in /"))
        .unwrap_or_else(|| panic!("no artifact in {text}"));
    PathBuf::from(line.rsplit(" in ").next().unwrap_or_default())
}
