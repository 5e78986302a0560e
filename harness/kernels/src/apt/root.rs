//! A private apt root for one suite: its own sources and index, nothing of the machine's own is touched.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::super::lock::Deb;
use super::index::Index;
use super::sources::Archives;
use super::{AptError, classify};
use host::cache::{Cache, CacheError, LockGuard};
use host::progress::{Progress, Step};
use host::tool::{self, ToolError};

const UPDATE_DEADLINE: Duration = Duration::from_secs(300);
const DOWNLOAD_DEADLINE: Duration = Duration::from_secs(1800);
const READ_DEADLINE: Duration = Duration::from_secs(60);
/// An index younger than this is used as it is.
const FRESH: Duration = Duration::from_secs(24 * 3600);
const HELPER: &str = "/usr/lib/apt/apt-helper";

/// A suite's private root, held by this run alone.
#[derive(Debug)]
pub(crate) struct Root {
    suite: String,
    folder: PathBuf,
    offline: bool,
    updated: bool,
    _lock: LockGuard,
}

impl Root {
    /// Opens a suite's root, making it if need be. Waits for other runs that use it. `updated` tells that this run has
    /// fetched the index before.
    ///
    /// # Errors
    /// The cache cannot be used, or the machine's apt names no Debian archive.
    pub(crate) fn open(
        cache: &Cache,
        suite: &str,
        offline: bool,
        updated: bool,
        progress: &Progress,
    ) -> Result<Self, AptError> {
        let lock = cache.lock(&format!("apt-{suite}"), || {
            progress.say(&format!("waiting for another run that uses the index of {suite}"));
        })?;
        let folder = cache.folder(&format!("apt/{suite}"))?;
        for part in ["lists/partial", "archives/partial", "state"] {
            cache.folder(&format!("apt/{suite}/{part}"))?;
        }
        let root = Root {
            suite: suite.to_owned(),
            folder,
            offline,
            updated,
            _lock: lock,
        };
        if !offline {
            root.configure(&Archives::of_host()?)?;
        }
        Ok(root)
    }

    /// What the suite holds; the index is fetched if there is none, or it is old, or `refresh` asks for it.
    ///
    /// # Errors
    /// The archive cannot be reached or does not verify.
    pub(crate) fn index(&mut self, refresh: bool, progress: &Progress) -> Result<Index, AptError> {
        if (refresh && !self.updated) || !self.is_fresh() {
            self.update(progress)?;
        }
        let listed = tool::run_ok(
            self.apt("apt-get")?
                .args(["indextargets", "--format", "$(FILENAME)", "Created-By: Packages"]),
            READ_DEADLINE,
        )?;
        let mut text = String::new();
        for file in String::from_utf8_lossy(&listed.stdout).lines() {
            let read = tool::run_ok(Command::new(HELPER).arg("cat-file").arg(file), READ_DEADLINE)?;
            text.push_str(&String::from_utf8_lossy(&read.stdout));
            text.push_str("\n\n");
        }
        Ok(Index::parse(&self.suite, &text))
    }

    /// Whether the index was fetched by this run, so that asking again is of no use.
    #[must_use]
    pub(crate) fn is_updated(&self) -> bool {
        self.updated || self.offline
    }

    /// Downloads one package into `into` and gives back the file's path.
    ///
    /// # Errors
    /// The archive cannot be reached, or what came does not verify.
    pub(crate) fn download(&self, deb: &Deb, into: &Path, progress: &Progress) -> Result<PathBuf, AptError> {
        let needed = format!("{} {}", deb.name, deb.version);
        if self.offline {
            return Err(AptError::Offline { needed });
        }
        let step = progress.bytes(format!("downloading {needed}"), deb.size);
        let mut command = self.apt("apt-get")?;
        // apt tells its progress as lines; standard output carries nothing else with -qq.
        command.args(["download", "-qq", "-o", "APT::Status-Fd=1"]);
        command.arg(format!("{}={}", deb.name, deb.version)).current_dir(into);
        let finished = tool::run_watched(&mut command, DOWNLOAD_DEADLINE, |line| {
            show_progress(line, deb.size, &step);
        })?;
        let said = finished.text();
        tool::check(&command, finished).map_err(|error| classify(&self.suite, &needed, &said, error))?;
        let files = std::fs::read_dir(into).map_err(|source| CacheError::io("read", into, source))?;
        files
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .ok_or(AptError::Unreachable {
                needed,
                detail: "apt-get download left no file".to_owned(),
            })
    }

    fn is_fresh(&self) -> bool {
        let Ok(stamp) = std::fs::metadata(self.stamp()) else {
            return false;
        };
        let age = stamp
            .modified()
            .ok()
            .and_then(|at| SystemTime::now().duration_since(at).ok());
        // Offline any index will do: an old one tells more than none.
        self.offline || age.is_some_and(|age| age < FRESH)
    }

    fn update(&mut self, progress: &Progress) -> Result<(), AptError> {
        let needed = format!("the index of {}", self.suite);
        if self.offline {
            return Err(AptError::Offline { needed });
        }
        let step = progress.spinner(format!("fetching {needed}"));
        let mut command = self.apt("apt-get")?;
        command.args(["update", "-q", "-o", "APT::Update::Error-Mode=any"]);
        let finished = tool::run(&mut command, UPDATE_DEADLINE)?;
        let said = finished.text();
        tool::check(&command, finished).map_err(|error| classify(&self.suite, &needed, &said, error))?;
        drop(step);
        let stamp = self.stamp();
        File::create(&stamp).map_err(|source| CacheError::io("create", &stamp, source))?;
        self.updated = true;
        Ok(())
    }

    fn stamp(&self) -> PathBuf {
        self.folder.join("updated")
    }

    fn configure(&self, archives: &Archives) -> Result<(), AptError> {
        let archive = archives.of_suite(&self.suite);
        let sources = format!(
            "deb [arch=amd64 target=Packages signed-by={}] {} {} main\n",
            archive.signed_by.replace(char::is_whitespace, ","),
            archive.uri,
            self.suite
        );
        let files = [
            ("status", String::new()),
            ("apt.conf", self.configuration()),
            ("sources.list", sources),
        ]
        .map(|(name, text)| (self.folder.join(name), text));
        let is = |path: &Path, text: &str| std::fs::read_to_string(path).is_ok_and(|old| old == text);
        if files.iter().all(|(path, text)| is(path, text)) {
            return Ok(());
        }
        // The machine has another mirror than before: what was fetched from the old one is not trusted to be current.
        let _ = std::fs::remove_file(self.stamp());
        for (path, text) in files {
            // Never half a file: with less than all of apt.conf, apt would use the machine's own lists.
            host::atomic::write(&path, text.as_bytes()).map_err(|source| CacheError::io("write", &path, source))?;
        }
        Ok(())
    }

    /// Read after the machine's own configuration, of which proxies and the like stay in force.
    fn configuration(&self) -> String {
        let folder = self.folder.display();
        format!(
            r#"// Made by bioscope.
APT::Architecture "amd64";
// Hooks of the machine are about the machine's own packages.
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
// The cache is private to its user, so apt's own download user could not read it.
APT::Sandbox::User "";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "-";
Dir::State "{folder}/state";
Dir::State::lists "{folder}/lists";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}";
Dir::Cache::archives "{folder}/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
"#
        )
    }

    fn apt(&self, program: &str) -> Result<Command, ToolError> {
        let mut command = tool::command(program, "apt")?;
        command.arg("-c").arg(self.folder.join("apt.conf"));
        Ok(command)
    }
}

/// `dlstatus:1:42.5:Retrieving file 1 of 1 …`
fn show_progress(line: &str, size: u64, step: &Step) {
    let percent = line
        .strip_prefix("dlstatus:")
        .and_then(|rest| rest.split(':').nth(1)?.parse::<f64>().ok());
    if let Some(percent) = percent {
        // A bar's position: rounding is of no matter, and both values are small.
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss
        )]
        step.set((size as f64 * percent / 100.0) as u64);
    }
}
