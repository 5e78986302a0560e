//! Archives of source, streamed into the cache's repository by `git fast-import`: nothing is unpacked beside it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::super::decompress;
use super::super::store::hex;
use super::super::tree::is_url;
use super::error::SourceError;
use super::repo::{Repo, Tree};
use host::cache::Cache;
use host::progress::{Progress, Step};
use host::tool::{self, ToolError};

const HELPER: &str = "/usr/lib/apt/apt-helper";
const DOWNLOAD_DEADLINE: Duration = Duration::from_secs(4 * 3600);
const BUFFER_BYTES: usize = 1 << 18;

/// The source that was taken in before under a sum.
///
/// # Errors
/// git fails.
pub fn taken(repo: &Repo, sha256: &str, name: &str) -> Result<Option<Tree>, SourceError> {
    let Some(id) = repo.named(&reference(sha256))? else {
        return Ok(None);
    };
    let tree = tree(id, name.to_owned());
    // What was taken in and then refused is refused again.
    Ok(repo.file(&tree, "Kconfig")?.is_some().then_some(tree))
}

/// The source that a `linux-source-*` package holds; `sha256` is the package file's.
///
/// # Errors
/// The package holds no source, a tool is missing, the disk is full.
pub fn package(repo: &Repo, deb: &Path, sha256: &str, name: &str, progress: &Progress) -> Result<Tree, SourceError> {
    import(
        repo,
        sha256,
        name,
        |fast, step| {
            let mut command = tool::command("dpkg-deb", "dpkg")?;
            let mut child = command
                .arg("--fsys-tarfile")
                .arg(deb)
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn();
            let child = child.as_mut().map_err(|error| ToolError::Run {
                program: "dpkg-deb".to_owned(),
                source: io::Error::new(error.kind(), error.to_string()),
            })?;
            let result = child
                .stdout
                .take()
                .map_or(Err(Stop::Archive("dpkg-deb says nothing".to_owned())), |out| {
                    of_package(BufReader::with_capacity(BUFFER_BYTES, out), fast, step)
                });
            // What was not read of it does not matter any more.
            let _ = child.kill();
            let _ = child.wait();
            result
        },
        deb,
        progress,
    )
}

/// The source in an archive; one with a URL is downloaded unless the cache has it.
///
/// # Errors
/// It cannot be had, is not the one with this sum, or holds no kernel.
pub fn tarball(
    repo: &Repo,
    cache: &Cache,
    location: &str,
    sha256: &str,
    offline: bool,
    progress: &Progress,
) -> Result<Tree, SourceError> {
    let name = location.rsplit('/').next().unwrap_or(location).to_owned();
    if let Some(tree) = taken(repo, sha256, &name)? {
        return Ok(tree);
    }
    if !is_url(location) {
        return archive(repo, Path::new(location), location, sha256, &name, progress);
    }
    if offline {
        return Err(SourceError::Offline {
            what: location.to_owned(),
        });
    }
    let scratch = cache.scratch("downloads")?;
    let file = scratch.path().join("archive");
    let step = progress.spinner(format!("downloading {name}"));
    // apt's own helper knows the machine's proxies.
    let mut command = Command::new(HELPER);
    command.args(["download-file", location]).arg(&file);
    let finished = tool::run(&mut command, DOWNLOAD_DEADLINE)?;
    drop(step);
    if !finished.status.success() {
        return Err(SourceError::Fetch {
            what: location.to_owned(),
            reason: finished.text().lines().last().unwrap_or_default().trim().to_owned(),
        });
    }
    archive(repo, &file, location, sha256, &name, progress)
}

fn archive(
    repo: &Repo,
    file: &Path,
    location: &str,
    sha256: &str,
    name: &str,
    progress: &Progress,
) -> Result<Tree, SourceError> {
    let read = |source| SourceError::Read {
        path: file.to_owned(),
        source,
    };
    let mut sum = Sha256::new();
    io::copy(&mut File::open(file).map_err(read)?, &mut HashWriter(&mut sum)).map_err(read)?;
    let found = hex(&sum.finalize());
    if found != sha256 {
        return Err(SourceError::Mismatch {
            location: location.to_owned(),
            wanted: sha256.to_owned(),
            found,
        });
    }
    import(
        repo,
        sha256,
        name,
        |fast, step| {
            let file = File::open(file).map_err(|error| Stop::Archive(error.to_string()))?;
            of_archive(
                BufReader::with_capacity(
                    BUFFER_BYTES,
                    Counted {
                        from: file,
                        read: 0,
                        step,
                    },
                ),
                fast,
            )
        },
        file,
        progress,
    )
}

struct HashWriter<'a>(&'a mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn reference(sha256: &str) -> String {
    format!("refs/sources/{sha256}")
}

fn tree(id: String, name: String) -> Tree {
    Tree {
        id,
        name,
        alternates: Vec::new(),
    }
}

/// Why an import stopped.
enum Stop {
    Archive(String),
    /// git does not take any more; its own words say why.
    Git,
    Tool(ToolError),
}

impl From<ToolError> for Stop {
    fn from(error: ToolError) -> Self {
        Stop::Tool(error)
    }
}

fn import(
    repo: &Repo,
    sha256: &str,
    name: &str,
    feed: impl FnOnce(&mut dyn Write, &Step) -> Result<(), Stop>,
    file: &Path,
    progress: &Progress,
) -> Result<Tree, SourceError> {
    let reference = reference(sha256);
    let bytes = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
    let step = progress.bytes(format!("taking in the source of {name}"), bytes);
    let mut command = repo.git(&[])?;
    command.args([
        "fast-import",
        "--quiet",
        "--done",
        "--force",
        "--max-pack-size=2g",
        "--depth=1",
    ]);
    let run = |source| ToolError::Run {
        program: "git".to_owned(),
        source,
    };
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(run)?;
    let fed = feed_all(&mut child, &reference, name, feed, &step);
    let mut said = String::new();
    if let Some(stderr) = &mut child.stderr {
        // What it says is for a person only.
        let _ = stderr.read_to_string(&mut said);
    }
    let status = child.wait().map_err(run)?;
    match fed {
        Ok(()) if status.success() => {}
        Err(Stop::Archive(reason)) => {
            return Err(SourceError::Archive {
                what: name.to_owned(),
                reason,
            });
        }
        Err(Stop::Tool(error)) => return Err(error.into()),
        Ok(()) | Err(Stop::Git) => {
            let finished = tool::Finished {
                status,
                stdout: Vec::new(),
                stderr: said.into_bytes(),
            };
            tool::check(&command, finished)?;
        }
    }
    let id = repo.named(&reference)?.ok_or_else(|| SourceError::Archive {
        what: name.to_owned(),
        reason: "nothing is in it".to_owned(),
    })?;
    let tree = tree(id, name.to_owned());
    if repo.file(&tree, "Kconfig")?.is_none() {
        return Err(SourceError::Archive {
            what: name.to_owned(),
            reason: "there is no Kconfig at its top".to_owned(),
        });
    }
    Ok(tree)
}

fn feed_all(
    child: &mut Child,
    reference: &str,
    name: &str,
    feed: impl FnOnce(&mut dyn Write, &Step) -> Result<(), Stop>,
    step: &Step,
) -> Result<(), Stop> {
    let Some(stdin) = child.stdin.take() else {
        return Err(Stop::Git);
    };
    let mut fast = BufWriter::with_capacity(BUFFER_BYTES, stdin);
    let message = format!(
        "commit {reference}\ncommitter bioscope <bioscope@localhost> 0 +0000\ndata {}\n{name}\n",
        name.len()
    );
    fast.write_all(message.as_bytes()).map_err(|_| Stop::Git)?;
    let fed = feed(&mut fast, step);
    // Without `done` git throws away what it was given: a damaged archive leaves nothing.
    if fed.is_ok() {
        fast.write_all(b"done\n")
            .and_then(|()| fast.flush())
            .map_err(|_| Stop::Git)?;
    }
    fed
}

/// Looks for the archive in a package's files.
fn of_package(from: impl Read, fast: &mut dyn Write, step: &Step) -> Result<(), Stop> {
    let bad = |error: io::Error| Stop::Archive(error.to_string());
    let mut outer = tar::Archive::new(from);
    for entry in outer.entries().map_err(bad)? {
        let entry = entry.map_err(bad)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let is_source = name.contains("usr/src/linux-source-") && name.contains(".tar");
        if is_source && entry.header().entry_type().is_file() {
            return of_archive(
                BufReader::with_capacity(
                    BUFFER_BYTES,
                    Counted {
                        from: entry,
                        read: 0,
                        step,
                    },
                ),
                fast,
            );
        }
    }
    Err(Stop::Archive(
        "no usr/src/linux-source-*.tar.* in it; name a linux-source-… package".to_owned(),
    ))
}

fn of_archive(from: impl BufRead, fast: &mut dyn Write) -> Result<(), Stop> {
    let bad = |error: io::Error| Stop::Archive(error.to_string());
    let mut archive = tar::Archive::new(decompress::stream(from).map_err(bad)?);
    let mut content = Vec::new();
    let mut top = None;
    for entry in archive.entries().map_err(bad)? {
        let mut entry = entry.map_err(bad)?;
        let kind = entry.header().entry_type();
        let path = entry.path_bytes().into_owned();
        let path = String::from_utf8(path).map_err(|_| Stop::Archive("a file name that is not UTF-8".to_owned()))?;
        let Some((folder, path)) = below_top(&path) else {
            continue;
        };
        match &top {
            None => top = Some(folder.to_owned()),
            Some(top) if top == folder => {}
            Some(top) => {
                return Err(Stop::Archive(format!(
                    "it has several directories at its top ({top}, {folder}, …), and not one with all of the source; \
                    pack that directory itself: `tar -cf linux.tar linux`"
                )));
            }
        }
        content.clear();
        if kind.is_hard_link() {
            let link = entry.link_name_bytes().unwrap_or_default();
            let link = String::from_utf8_lossy(&link);
            let Some((_, same)) = below_top(&link) else {
                return Err(Stop::Archive(format!("{path} is a link to {link}, which is not in it")));
            };
            writeln!(fast, "C \"{}\" {path}", same.replace('\\', "\\\\")).map_err(|_| Stop::Git)?;
            continue;
        }
        let mode = if kind.is_file() {
            entry.read_to_end(&mut content).map_err(bad)?;
            let executable = entry.header().mode().is_ok_and(|mode| mode & 0o100 != 0);
            if executable { "100755" } else { "100644" }
        } else if kind.is_symlink() {
            content.extend_from_slice(&entry.link_name_bytes().unwrap_or_default());
            "120000"
        } else {
            // Directories are their files; nothing else stands in a kernel's source.
            continue;
        };
        write!(fast, "M {mode} inline {path}\ndata {}\n", content.len())
            .and_then(|()| fast.write_all(&content))
            .and_then(|()| fast.write_all(b"\n"))
            .map_err(|_| Stop::Git)?;
    }
    Ok(())
}

/// A file's path below the directory that all archives of source have at their top, and that directory; nothing of what
/// is no file below it.
fn below_top(path: &str) -> Option<(&str, &str)> {
    let (top, path) = path.trim_start_matches("./").split_once('/')?;
    let path = path.trim_end_matches('/');
    let is_odd = path.split('/').any(|part| matches!(part, "" | "." | "..")) || path.contains(['"', '\n']);
    (!is_odd).then_some((top, path))
}

/// Shows how much was read.
struct Counted<'a, R> {
    from: R,
    read: u64,
    step: &'a Step,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        self.read += read as u64;
        self.step.set(self.read);
        Ok(read)
    }
}
