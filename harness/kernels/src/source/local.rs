//! Source on this machine: a revision of a repository, or a working tree as it is.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::error::SourceError;
use super::oddities::Oddities;
use super::own_index;
use super::repo::{Repo, Tree, digest, plain_git};
use host::cache::{Cache, CacheError};
use host::progress::Progress;
use host::suggest;
use host::tool::{self, ToolError};

const DEADLINE: Duration = Duration::from_secs(1800);
/// What a build in the tree leaves there, for a folder that no repository knows: a kernel's own `.gitignore` says that
/// as well, but a distribution's may leave out the source.
const BUILT: &str = "*.o\n*.a\n*.ko\n*.mod\n*.mod.c\n*.cmd\n*.order\n.tmp_*\n/.config\n/.config.old\n/.version\n\
    /.missing-syscalls.d\n/vmlinux*\n/System.map\n/Module.symvers\n/modules.builtin*\n/include/config/\n\
    /include/generated/\n/arch/*/include/generated/\n/arch/*/boot/*Image\n";
/// Changes when an index of before would not do.
const INDEX_FORMAT: &[u8] = b"2";
/// How many tags and branches an error may name.
const NAMES_MAX: usize = 3;

/// A user's repository.
struct Local {
    /// The directory that was named.
    path: PathBuf,
    /// What all its working trees share.
    common: PathBuf,
    /// The index of this working tree.
    index: PathBuf,
}

impl Local {
    /// The repository that has a directory as its working tree, or is it.
    fn find(path: &Path) -> Result<Option<Local>, SourceError> {
        let read = |source| SourceError::Read {
            path: path.to_owned(),
            source,
        };
        let path = path.canonicalize().map_err(read)?;
        let mut command = plain_git()?;
        command
            .arg("-C")
            .arg(&path)
            .args(["rev-parse", "--path-format=absolute"]);
        command.args(["--git-common-dir", "--git-path", "index"]);
        let finished = tool::run(&mut command, DEADLINE)?;
        if !finished.status.success() {
            let said = String::from_utf8_lossy(&finished.stderr);
            // A repository that git does not trust is one all the same; its words say what to do.
            if said.contains("dubious ownership") {
                return Err(read(std::io::Error::other(said.trim().to_owned())));
            }
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&finished.stdout).into_owned();
        let mut lines = text.lines().map(PathBuf::from);
        Ok(match (lines.next(), lines.next()) {
            (Some(common), Some(index)) => Some(Local { path, common, index }),
            _ => None,
        })
    }

    /// Whether it holds a kernel that lies here: a folder with source may just lie in somebody's repository.
    fn has_kernel(&self) -> Result<bool, SourceError> {
        let top = self.ask(&["rev-parse", "--show-toplevel"])?;
        let top = String::from_utf8_lossy(&top.stdout).trim_end().to_owned();
        if Path::new(&top) == self.path {
            return Ok(true);
        }
        let tracked = self.ask(&["ls-files", "--error-unmatch", "--", "Makefile"])?;
        Ok(tracked.status.success())
    }

    fn objects(&self) -> PathBuf {
        self.common.join("objects")
    }

    fn ask(&self, args: &[&str]) -> Result<tool::Finished, SourceError> {
        let mut command = plain_git()?;
        // In the directory that was named: each working tree of a repository has a HEAD of its own.
        command.arg("-C").arg(&self.path).args(args);
        Ok(tool::run(&mut command, DEADLINE)?)
    }

    /// How many files of a tree a partial clone has not fetched; of any other repository none.
    fn missing(&self, tree: &str) -> Result<usize, SourceError> {
        let promised = self.ask(&["config", "--get-regexp", r"^remote\..*\.promisor$"])?;
        if !promised.status.success() {
            return Ok(0);
        }
        let listed = self.ask(&["rev-list", "--objects", "--missing=print", "--no-walk", tree])?;
        let lines = listed.stdout.split(|byte| *byte == b'\n');
        Ok(lines.filter(|line| line.starts_with(b"?")).count())
    }

    /// ` (did you mean …)`, of tags and branches.
    fn near(&self, rev: &str) -> Result<String, SourceError> {
        let finished = self.ask(&["for-each-ref", "--format=%(refname:short)", "refs/tags", "refs/heads"])?;
        let text = String::from_utf8_lossy(&finished.stdout);
        let names: Vec<&str> = text.lines().collect();
        Ok(match suggest::closest(rev, names.iter().copied()) {
            Some(near) => format!(" (did you mean `{near}`?)"),
            None if names.is_empty() => String::new(),
            None => format!(
                " (it has {}{})",
                names[names.len().saturating_sub(NAMES_MAX)..].join(", "),
                if names.len() > NAMES_MAX { " and others" } else { "" }
            ),
        })
    }
}

/// A commit of a repository.
pub(super) fn revision(repo: &Repo, path: &Path, rev: &str) -> Result<Tree, SourceError> {
    let local = Local::find(path)?.ok_or_else(|| SourceError::NotGit {
        path: path.to_owned(),
        rev: rev.to_owned(),
    })?;
    let tree = Local::ask(
        &local,
        &[
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            &format!("{rev}^{{commit}}^{{tree}}"),
        ],
    )?;
    if !tree.status.success() {
        return Err(SourceError::NoRevision {
            repository: path.display().to_string(),
            rev: rev.to_owned(),
            hint: local.near(rev)?,
        });
    }
    let described = local.ask(&["describe", "--tags", "--always", "--abbrev=12", rev])?;
    let line = |finished: &tool::Finished| {
        String::from_utf8_lossy(&finished.stdout)
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let tree = Tree {
        id: line(&tree),
        name: line(&described),
        alternates: vec![local.objects()],
    };
    let files = local.missing(&tree.id)?;
    if files > 0 {
        return Err(SourceError::Partial {
            repository: path.to_owned(),
            rev: rev.to_owned(),
            files,
        });
    }
    is_linux(repo, path, &tree)?;
    Ok(tree)
}

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
    // Left by a run that was killed; the lock is ours.
    let _ = std::fs::remove_file(index.with_extension("lock"));
    let alternates: Vec<PathBuf> = local.iter().map(Local::objects).collect();
    let read = |seed: Option<&Path>| -> Result<String, SourceError> {
        // Its own index knows what each file holds, so that 80,000 files need not be read.
        let is_copied = seed.is_some_and(|seed| own_index::copy(seed, &index).is_ok());
        let git = |args: &[&str]| {
            let mut command = repo.git(&alternates)?;
            if let Some(local) = &local {
                let exclude = local.common.join("info/exclude");
                command
                    .arg("-c")
                    .arg(format!("core.excludesFile={}", exclude.display()));
            }
            command
                .args(args)
                .env("GIT_WORK_TREE", &path)
                .env("GIT_INDEX_FILE", &index)
                .current_dir(&path);
            Ok::<_, ToolError>(command)
        };
        if is_copied {
            own_index::look_at_all(&git, &path, &index)?;
        }
        if local.is_some() {
            tool::run_ok(&mut git(&["add", "--all", "."])?, DEADLINE)?;
        } else {
            add_all_but_built(&git, &path, &index)?;
        }
        Ok(repo.line(&mut git(&["write-tree"])?)?)
    };
    let step = progress.spinner(format!("reading {}", path.display()));
    let own = local
        .as_ref()
        .filter(|local| local.path == path)
        .map(|local| local.index.as_path());
    let id = match read(own.filter(|_| !index.is_file())) {
        Err(error) if may_be_the_index(&error) => {
            // From nothing, which reads every file once.
            let _ = std::fs::remove_file(&index);
            let _ = std::fs::remove_file(index.with_extension("lock"));
            read(None)?
        }
        id => id?,
    };
    drop(step);
    check_oddities(repo, &path, &index, progress)?;
    let name = name_of(local.as_ref(), &path, &id)?;
    Ok(Tree { id, name, alternates })
}

/// Refuses a working copy with a link that leads out of it, and says which repositories lie within it.
fn check_oddities(repo: &Repo, path: &Path, index: &Path, progress: &Progress) -> Result<(), SourceError> {
    let mut list = repo.git(&[])?;
    list.args(["ls-files", "-s", "-z"])
        .env("GIT_WORK_TREE", path)
        .env("GIT_INDEX_FILE", index)
        .current_dir(path);
    let oddities = Oddities::of(&tool::run_ok(&mut list, DEADLINE)?.stdout, path);
    for within in oddities.repositories {
        progress.say(&format!(
            "{}: {within} is a repository of its own, and no file of it is built; take its .git away to have them built",
            path.display()
        ));
    }
    match oddities.link {
        None => Ok(()),
        Some((link, target)) => Err(SourceError::Outside {
            link: path.join(link),
            target,
        }),
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
    std::fs::write(&built, BUILT).map_err(io("write", &built))?;
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
    std::fs::write(&files, found).map_err(io("write", &files))?;
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

fn is_linux(repo: &Repo, path: &Path, tree: &Tree) -> Result<(), SourceError> {
    for file in ["Kconfig", "Makefile"] {
        if repo.file(tree, file)?.is_none() {
            return Err(SourceError::NotLinux { path: path.to_owned() });
        }
    }
    Ok(())
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
