//! A working tree as it is, as a tree of the cache's repository.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::error::SourceError;
use super::local::Local;
use super::oddities::Oddities;
use super::own_index;
use super::repo::{Repo, Tree, digest};
use host::cache::{Cache, CacheError};
use host::progress::Progress;
use host::tool::{self, ToolError};

const DEADLINE: Duration = Duration::from_secs(1800);
/// What a build in the tree leaves there, for a folder that no repository knows: a kernel's own `.gitignore` says that
/// as well, but a distribution's may leave out the source.
const BUILT: &str = "*.o\n*.a\n*.ko\n*.mod\n*.mod.c\n*.cmd\n*.order\n.tmp_*\n/.config\n/.config.old\n/.version\n\
    /.missing-syscalls.d\n/vmlinux*\n/System.map\n/Module.symvers\n/modules.builtin*\n/include/config/\n\
    /include/generated/\n/arch/*/include/generated/\n/arch/*/boot/*Image\n";
/// Changes when an index of before would not do.
const INDEX_FORMAT: &[u8] = b"3";

/// A working tree as it is: with what is not committed, without what its `.gitignore` leaves out. A folder that no
/// repository knows is taken whole, but for what a build leaves in it. Neither it nor its index is touched.
pub(super) fn as_it_is(repo: &Repo, cache: &Cache, path: &Path, progress: &Progress) -> Result<Tree, SourceError> {
    let local = match Local::find(path)? {
        Some(local) if local.has_kernel()? => Some(local),
        _ => None,
    };
    let path = path.canonicalize().map_err(|source| SourceError::Read {
        path: path.to_owned(),
        source,
    })?;
    if !path.join("Kconfig").is_file() || !path.join("Makefile").is_file() {
        return Err(SourceError::NotLinux { path });
    }
    let name = digest(&[path.as_os_str().as_encoded_bytes(), INDEX_FORMAT]);
    let index = cache.folder("indexes")?.join(&name);
    let _lock = cache.lock(&format!("index-{name}"), || {
        progress.say(&format!("waiting for another run that reads {}", path.display()));
    })?;
    let copy = WorkingCopy {
        repo,
        alternates: local.iter().map(Local::objects).collect(),
        local,
        path,
        index,
    };
    copy.unlock();
    let step = progress.spinner(format!("reading {}", copy.path.display()));
    if !copy.index.is_file() {
        copy.seed();
    }
    let read = match copy.read() {
        Err(error) if may_be_the_index(&error) => {
            // From nothing, which reads every file once.
            let _ = fs::remove_file(&copy.index);
            copy.unlock();
            copy.read()?
        }
        read => read?,
    };
    drop(step);
    for note in read.notes {
        progress.say(&format!("{}: {note}", copy.path.display()));
    }
    if let Some((link, target)) = read.link {
        return Err(SourceError::Outside {
            link: copy.path.join(link),
            target,
        });
    }
    let name = name_of(copy.local.as_ref(), &copy.path, &read.id)?;
    Ok(Tree {
        id: read.id,
        name,
        alternates: copy.alternates,
    })
}

/// A working tree, and the index of ours that knows it.
struct WorkingCopy<'a> {
    repo: &'a Repo,
    alternates: Vec<PathBuf>,
    local: Option<Local>,
    path: PathBuf,
    index: PathBuf,
}

/// What was read.
struct Read {
    id: String,
    link: Option<(String, PathBuf)>,
    /// What a person should know of it.
    notes: Vec<String>,
}

impl WorkingCopy<'_> {
    /// Removes a lock that a killed run left; ours keeps others out.
    fn unlock(&self) {
        let _ = fs::remove_file(self.index.with_extension("lock"));
    }

    fn git(&self, args: &[&str]) -> Result<Command, ToolError> {
        let mut command = self.repo.git(&self.alternates)?;
        if let Some(local) = &self.local {
            let exclude = local.common.join("info/exclude");
            command
                .arg("-c")
                .arg(format!("core.excludesFile={}", exclude.display()));
        }
        command
            .args(args)
            .env("GIT_WORK_TREE", &self.path)
            .env("GIT_INDEX_FILE", &self.index)
            .current_dir(&self.path);
        Ok(command)
    }

    /// Begins with the index of its own, which knows what each file holds, so that 80,000 files need not be read.
    fn seed(&self) {
        if let Some(local) = &self.local {
            // Without one, all are read.
            let _ = own_index::seed(&|args| self.git(args), &local.index, &self.index);
        }
    }

    fn read(&self) -> Result<Read, SourceError> {
        self.add()?;
        let mut oddities = self.oddities()?;
        let (within, grown) = oddities
            .repositories
            .into_iter()
            .partition::<Vec<_>, _>(|within| !self.is_mere_folder(within));
        oddities.repositories = within;
        if !grown.is_empty() {
            // For git they would stay repositories as long as the index says so.
            self.update(&["--force-remove"], grown.join("\0").as_bytes())?;
            self.add()?;
            oddities = self.oddities()?;
        }
        let mut notes: Vec<String> = oddities
            .repositories
            .iter()
            .map(|within| {
                format!(
                    "{within} is a repository of its own, and no file of it is built; take its .git away to have them \
                    built"
                )
            })
            .collect();
        notes.extend(self.add_left_out()?);
        Ok(Read {
            id: self.repo.line(&mut self.git(&["write-tree"])?)?,
            link: oddities.link,
            notes,
        })
    }

    /// Puts into the index what is there.
    fn add(&self) -> Result<(), SourceError> {
        if self.local.is_some() {
            tool::run_ok(&mut self.git(&["add", "--all", "."])?, DEADLINE)?;
            return Ok(());
        }
        add_all_but_built(&|args| self.git(args), &self.path, &self.index)
    }

    fn oddities(&self) -> Result<Oddities, SourceError> {
        let listed = tool::run_ok(&mut self.git(&["ls-files", "-s", "-z"])?, DEADLINE)?.stdout;
        Ok(Oddities::of(&listed, &self.path))
    }

    /// Whether what was a repository is none any more, and holds something.
    fn is_mere_folder(&self, within: &str) -> bool {
        let folder = self.path.join(within);
        fs::symlink_metadata(folder.join(".git")).is_err()
            && fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
    }

    /// Puts into the index what a sparse checkout leaves out of the directory: it is source all the same. Says what of
    /// it is not to be had.
    fn add_left_out(&self) -> Result<Option<String>, SourceError> {
        let Some(local) = &self.local else { return Ok(None) };
        let mut left_out = own_index::left_out(local, &self.path)?;
        let all = left_out.len();
        if all > 0 && local.is_partial()? {
            own_index::retain_fetched(&mut left_out, &|args| self.git(args), &self.index)?;
        }
        let missing = all - left_out.len();
        if !left_out.is_empty() {
            let entries: Vec<String> = left_out.iter().map(|file| format!("{}\0", file.entry)).collect();
            self.update(&["--index-info"], entries.concat().as_bytes())?;
        }
        Ok((missing > 0).then(|| {
            format!("{missing} files that its sparse checkout leaves out were never fetched, and are taken for absent")
        }))
    }

    fn update(&self, options: &[&str], list: &[u8]) -> Result<(), SourceError> {
        own_index::update(&|args| self.git(args), &self.index, options, list)
    }
}

/// Whether an index of a kind that git cannot go on with, or one whose objects are gone, may be why it failed. What
/// took too long, or found no room, would only do so again.
fn may_be_the_index(error: &SourceError) -> bool {
    matches!(error, SourceError::Tool(ToolError::Failed { .. }))
}

/// What a working tree is called in messages.
fn name_of(local: Option<&Local>, path: &Path, id: &str) -> Result<String, SourceError> {
    let Some(local) = local else {
        return Ok(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
    };
    let described = local.ask(&["describe", "--tags", "--always", "--abbrev=12", "HEAD"])?;
    let committed = local.ask(&["rev-parse", "--verify", "--quiet", "HEAD^{tree}"])?;
    let text = |finished: &tool::Finished| String::from_utf8_lossy(&finished.stdout).trim().to_owned();
    let changed = if text(&committed) == id { "" } else { "-dirty" };
    Ok(format!("{}{changed}", text(&described)))
}

/// Puts into an index what a folder holds, whatever its `.gitignore` says, but for what a build left there.
fn add_all_but_built(
    git: &impl Fn(&[&str]) -> Result<Command, ToolError>,
    top: &Path,
    index: &Path,
) -> Result<(), SourceError> {
    let io = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| CacheError::io(doing, &path, source)
    };
    let built = index.with_extension("built");
    fs::write(&built, BUILT).map_err(io("write", &built))?;
    let except = format!("--exclude-from={}", built.display());
    let mut list = git(&["ls-files", "-z", "--others", "--modified", "--deleted", &except])?;
    let mut found = tool::run_ok(&mut list, DEADLINE)?.stdout;
    // Of a repository within the folder git names the directory alone.
    let mut within = directories(&found);
    while let Some(directory) = within.pop() {
        let place = top.join(OsStr::from_bytes(&directory));
        let mut list = git(&["ls-files", "-z", "--others", &except])?;
        list.env("GIT_WORK_TREE", &place)
            .env("GIT_INDEX_FILE", index.with_extension("none"))
            .current_dir(&place);
        let inside = tool::run_ok(&mut list, DEADLINE)?.stdout;
        let paths = inside.split_inclusive(|byte| *byte == 0);
        let inside = paths
            .flat_map(|path| [directory.as_slice(), path])
            .collect::<Vec<_>>()
            .concat();
        within.extend(directories(&inside));
        found.extend(inside);
    }
    let files = index.with_extension("files");
    fs::write(&files, found).map_err(io("write", &files))?;
    let mut update = git(&["update-index", "-z", "--add", "--remove", "--stdin"])?;
    update.stdin(File::open(&files).map_err(io("read", &files))?);
    tool::run_ok(&mut update, DEADLINE)?;
    Ok(())
}

/// The directories in a list of paths, each with its slash.
fn directories(list: &[u8]) -> Vec<Vec<u8>> {
    let paths = list.split(|byte| *byte == 0).filter(|path| path.ends_with(b"/"));
    paths.map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_git_says_makes_a_reading_begin_again() {
        let failed = ToolError::Failed {
            program: "git".to_owned(),
            status: std::process::ExitStatus::default(),
            stderr: "fatal: index file corrupt".to_owned(),
        };
        assert!(may_be_the_index(&failed.into()));
        let late = ToolError::Deadline {
            program: "git".to_owned(),
            deadline_ms: DEADLINE.as_millis(),
        };
        let full = CacheError::DiskFull {
            path: PathBuf::from("index"),
        };
        for error in [late.into(), full.into()] {
            assert!(!may_be_the_index(&error), "{error}");
        }
    }
}
