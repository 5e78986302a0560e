//! From a tree to a kernel of the store, by the kernel's own build.
//!
//! An artifact is named by what determines it: the content of the files that its build reads, the configuration, the toolchain, the
//! variables. So a tree of which none of that differs from one that was built is not built: the artifact is there.

pub mod closure;
pub mod config;
pub mod line;
pub mod make;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::source::{Listing, Repo, SourceError, Tree};
use super::store::{self, Artifact, Description, MadeOf, hex};
use super::tree::{ConfigPart, TreeSource};
use super::unpack::{self, UnpackError};
use crate::cache::{Cache, CacheError};
use crate::progress::Progress;
use crate::tool::ToolError;
use closure::{Closure, is_kconfig};
use config::{Options, Vanished};
use line::{Built, Line};
use make::Make;

/// Below this version (of the kernel) its host tools define variables twice, which compilers since gcc 10 refuse.
const COMMON_BELOW: (u32, u32) = (5, 7);
/// Below this version nobody has tried whether today's compilers do.
const TRIED_SINCE: (u32, u32) = (5, 10);
/// How many vanished options an error lists.
const VANISHED_MAX: usize = 12;

/// Why a kernel is not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The source cannot be had.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A part of the configuration cannot be read.
    #[error("cannot read {}, which the configuration of {id} names", path.display())]
    Config {
        /// The kernel.
        id: String,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Options did not survive.
    #[error(
        "{id}: {} of the fragments' options did not survive `make olddefconfig`:\n{}\nset what they depend on in the same fragment, or take them out",
        vanished.len(), list(vanished)
    )]
    Vanished {
        /// The kernel.
        id: String,
        /// The options.
        vanished: Vec<Vanished>,
    },
    /// make failed.
    #[error("make {targets} failed:\n{said}\nthe whole log: {}", log.display())]
    Make {
        /// What was to be made.
        targets: String,
        /// The compiler's own words.
        said: String,
        /// Where all of them are.
        log: PathBuf,
    },
    /// make failed on a tree that is older than what was tried with this compiler.
    #[error(
        "{source}\nthis tree is of {}.{}, older than what this compiler ({compiler}) is known to build: name an older one with `cc`, like \"gcc-10\"",
        version.0, version.1
    )]
    TooOld {
        /// The tree's version.
        version: (u32, u32),
        /// What the compiler calls itself.
        compiler: String,
        /// What went wrong.
        source: Box<BuildError>,
    },
    /// What was built is no kernel that boots.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// A host tool failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl BuildError {
    /// The program's exit code for this error.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            BuildError::Source(error) => error.exit_code(),
            BuildError::Config { .. } => 66,
            BuildError::Vanished { .. } => 65,
            BuildError::Make { .. } | BuildError::TooOld { .. } => 74,
            BuildError::Unpack(error) => error.exit_code(),
            BuildError::Tool(error) => error.exit_code(),
            BuildError::Cache(error) => error.exit_code(),
        }
    }
}

fn list(vanished: &[Vanished]) -> String {
    let mut lines: Vec<String> = vanished
        .iter()
        .take(VANISHED_MAX)
        .map(|lost| format!("  {lost}"))
        .collect();
    if vanished.len() > VANISHED_MAX {
        lines.push(format!("  and {} more", vanished.len() - VANISHED_MAX));
    }
    lines.join("\n")
}

/// One kernel to build.
struct Job<'a> {
    id: &'a str,
    tree: &'a Tree,
    source: &'a TreeSource,
    all: Listing,
    /// The tree's own version.
    version: (u32, u32),
    toolchain: String,
    variables: BTreeMap<String, String>,
    /// The configuration's files with their content, in order.
    parts: Vec<(PathBuf, String)>,
}

/// Builds a tree, unless the store has what would come of it.
///
/// # Errors
/// Its configuration or its code does not build; a tool is missing; the disk is full. The store and the build folder stay usable.
pub fn build(
    cache: &Cache,
    repo: &Repo,
    id: &str,
    tree: &Tree,
    source: &TreeSource,
    progress: &Progress,
) -> Result<Artifact, BuildError> {
    let job = Job::new(repo, id, tree, source)?;
    let on_wait = || progress.say(&format!("waiting for another run that builds in the folder of {id}"));
    let mut line = Line::open(cache, source, on_wait)?;
    let inputs = job.config_inputs();
    if let Some(config) = line.state().configs.get(&inputs).cloned()
        && let Some(artifact) = job.known(cache, repo, &line, &config, progress)
    {
        return Ok(artifact);
    }
    let log = make::log_path(&cache.folder("logs")?, id);
    // A log is one build's.
    let _ = fs::remove_file(&log);
    let step = progress.spinner(format!("checking out {} for {id}", tree.name));
    line.check_out(repo, tree)?;
    drop(step);
    let (objects, folder) = (line.objects(), line.source());
    let lock = line
        .lock()
        .try_clone_to_owned()
        .map_err(|source| CacheError::io("use the lock of", &folder, source))?;
    let make = Make {
        source: &folder,
        objects: &objects,
        variables: job.variables.clone(),
        lock: lock.as_fd(),
        log: &log,
    };
    let there = config_sum(&objects).filter(|sum| line.state().configs.get(&inputs) == Some(sum));
    let config = match there {
        Some(config) => config,
        None => {
            let _step = progress.spinner(format!("configuring {id}"));
            job.configure(&make).map_err(|error| job.too_old(error))?
        }
    };
    line.remember_config(&inputs, &config)?;
    if let Some(artifact) = job.known(cache, repo, &line, &config, progress) {
        return Ok(artifact);
    }
    let made = job
        .make(&make, line.state().whole.get(&config).copied(), progress)
        .map_err(|error| job.too_old(error))?;
    let closure =
        Closure::of_build(&objects, &folder, &job.all).map_err(|source| CacheError::io("read", &objects, source))?;
    // The folder was built from nothing if nothing was built in it before; only then is the number that of a whole build.
    let whole = line.state().built.is_empty().then_some(made);
    job.keep(cache, &mut line, &make, &config, &closure, whole)
}

impl<'a> Job<'a> {
    fn new(repo: &Repo, id: &'a str, tree: &'a Tree, source: &'a TreeSource) -> Result<Self, BuildError> {
        let all = repo.listing(tree)?;
        let makefile = repo.file(tree, "Makefile")?.unwrap_or_default();
        let version = version_of(&String::from_utf8_lossy(&makefile));
        let cc = source.cc.as_deref().unwrap_or("gcc");
        let parts = source
            .config
            .iter()
            .filter_map(|part| match part {
                ConfigPart::Whole(path) | ConfigPart::Fragment { path, .. } => Some(path),
                ConfigPart::Tiny | ConfigPart::Default => None,
            })
            .map(|path| {
                let read = |source| BuildError::Config {
                    id: id.to_owned(),
                    path: path.clone(),
                    source,
                };
                Ok((path.clone(), fs::read_to_string(path).map_err(read)?))
            })
            .collect::<Result<_, BuildError>>()?;
        Ok(Job {
            id,
            tree,
            source,
            all,
            version,
            toolchain: make::toolchain(cc)?,
            variables: variables(source, cc, version),
            parts,
        })
    }

    /// The sum of all that decides the configuration.
    fn config_inputs(&self) -> String {
        let decides = |path: &&String| {
            is_kconfig(path)
                || path.starts_with("scripts/kconfig/")
                || path.ends_with("tiny.config")
                || path.ends_with("tiny-base.config")
                || path.ends_with("x86_64_defconfig")
        };
        let mut files: Vec<&String> = self.all.keys().filter(decides).collect();
        files.sort();
        let mut sum = Sha256::new();
        for path in files {
            sum.update(format!("{path} {}\n", self.all[path]));
        }
        for part in &self.source.config {
            sum.update(format!("{part}\n"));
        }
        for (_, text) in &self.parts {
            sum.update(format!("{}\n{text}", text.len()));
        }
        sum.update(self.with());
        hex(&sum.finalize())
    }

    /// What a result depends on besides source and configuration.
    fn with(&self) -> String {
        let variables: Vec<String> = self
            .variables
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        // ccache gives back what the compiler would have made.
        let variables = variables.join(" ").replace("ccache ", "");
        format!("{}; {variables}", self.toolchain)
    }

    /// The artifact of an earlier build that read just what this one would.
    fn known(&self, cache: &Cache, repo: &Repo, line: &Line, config: &str, progress: &Progress) -> Option<Artifact> {
        let with = self.with();
        let mut tried: HashSet<&str> = HashSet::new();
        for built in line
            .state()
            .built
            .iter()
            .filter(|built| built.config == config && built.with == with)
        {
            if built.tree == self.tree.id {
                if let Some(artifact) = store::get(cache, self.id, &built.artifact) {
                    return Some(artifact);
                }
                continue;
            }
            if !tried.insert(&built.closure) {
                continue;
            }
            let Some(closure) = line.closure(&built.closure) else {
                continue;
            };
            let before = Tree {
                id: built.tree.clone(),
                name: built.name.clone(),
                alternates: built.alternates.clone(),
            };
            // A tree of a repository that is gone tells nothing any more.
            let Ok(before) = repo.listing(&before) else { continue };
            let paths = before.keys().cloned().collect();
            let Some(sum) = closure.sum(&self.all, &paths) else {
                continue;
            };
            let Some(artifact) = store::get(cache, self.id, &self.name(config, &built.closure, &sum)) else {
                continue;
            };
            let differ = self
                .all
                .iter()
                .filter(|(path, id)| before.get(*path) != Some(id))
                .count()
                + before.keys().filter(|path| !self.all.contains_key(*path)).count();
            progress.say(&format!(
                "{}: nothing to build: {differ} files differ between {} and {}, and a build reads none of them that decides what comes out",
                self.id, built.name, self.tree.name
            ));
            return Some(artifact);
        }
        None
    }

    /// An artifact's name.
    fn name(&self, config: &str, closure: &str, sum: &str) -> String {
        store::hash(&["built", &self.with(), config, closure, sum])
    }

    /// Makes the configuration; gives back its sum.
    fn configure(&self, make: &Make<'_>) -> Result<String, BuildError> {
        let place = make.objects.join(".config");
        let jobs = jobs();
        let mut fragments = self.parts.as_slice();
        match self.source.config.first() {
            Some(ConfigPart::Default) => drop(make.run(&["defconfig"], jobs, None)?),
            Some(ConfigPart::Whole(_)) => {
                if let Some(((_, text), rest)) = self.parts.split_first() {
                    write(&place, text)?;
                    fragments = rest;
                }
            }
            _ => drop(make.run(&["tinyconfig"], jobs, None)?),
        }
        let read = || fs::read_to_string(&place).map_err(|source| CacheError::io("read", &place, source));
        let mut options = Options::parse(&read()?);
        for (_, text) in fragments {
            options.merge(text);
        }
        write(&place, &options.to_text())?;
        make.run(&["olddefconfig"], jobs, None)?;
        let text = read()?;
        let mut vanished = config::vanished(fragments, &Options::parse(&text));
        if !vanished.is_empty() {
            for lost in &mut vanished {
                lost.declared = self.declared(make.source, &lost.option);
            }
            return Err(BuildError::Vanished {
                id: self.id.to_owned(),
                vanished,
            });
        }
        config_sum(make.objects)
            .ok_or_else(|| CacheError::io("read", &place, std::io::ErrorKind::NotFound.into()).into())
    }

    /// What the source says of an option.
    fn declared(&self, folder: &Path, option: &str) -> Option<String> {
        let files = self.all.keys().filter(|path| is_kconfig(path));
        files
            .filter_map(|path| fs::read_to_string(folder.join(path)).ok())
            .find_map(|text| config::declaration(&text, option))
    }

    /// Makes image and modules; gives back how many objects were made.
    fn make(&self, make: &Make<'_>, whole: Option<u64>, progress: &Progress) -> Result<u64, BuildError> {
        let mut targets = vec!["bzImage"];
        if has_modules(make.objects) {
            targets.push("modules");
        }
        let step = progress.count(format!("building {}", self.id), whole);
        make.run(&targets, jobs(), Some(&step))
    }

    /// Puts what was made into the store, and remembers how.
    fn keep(
        &self,
        cache: &Cache,
        line: &mut Line,
        make: &Make<'_>,
        config: &str,
        closure: &Closure,
        whole: Option<u64>,
    ) -> Result<Artifact, BuildError> {
        let mut list = Sha256::new();
        for path in closure.files() {
            list.update(path);
            list.update([b'\n']);
        }
        let list = hex(&list.finalize())[..40].to_owned();
        let paths: HashSet<String> = self.all.keys().cloned().collect();
        let sum = closure.sum(&self.all, &paths).unwrap_or_default();
        let name = self.name(config, &list, &sum);
        let artifact = store::get_or_make(cache, self.id, &name, || {}, |made| self.fill(make, closure, made))?;
        let built = Built {
            tree: self.tree.id.clone(),
            alternates: self.tree.alternates.clone(),
            name: self.tree.name.clone(),
            config: config.to_owned(),
            with: self.with(),
            closure: list,
            artifact: name,
        };
        line.remember(built, closure, whole)?;
        Ok(artifact)
    }

    fn fill(&self, make: &Make<'_>, closure: &Closure, made: &Path) -> Result<Description, BuildError> {
        let image = make.objects.join("arch/x86/boot/bzImage");
        let staged = made.join("staged");
        if has_modules(make.objects) {
            let mut variables = make.variables.clone();
            variables.insert("INSTALL_MOD_PATH".to_owned(), staged.display().to_string());
            variables.insert("INSTALL_MOD_STRIP".to_owned(), "1".to_owned());
            Make { variables, ..*make }.run(&["modules_install"], jobs(), None)?;
        }
        let mut description = unpack::built(
            &image,
            Some(&staged).filter(|staged| staged.is_dir()).map(PathBuf::as_path),
            made,
        )?;
        let copy = |from: &str, to: &str| {
            let to = made.join(to);
            fs::copy(make.objects.join(from), &to)
                .map(drop)
                .map_err(|source| CacheError::io("write", &to, source))
        };
        copy(".config", "config")?;
        let config = fs::read_to_string(make.objects.join(".config")).unwrap_or_default();
        if Options::parse(&config).get("DEBUG_INFO") == "y" {
            copy("vmlinux", "vmlinux.debug")?;
        }
        let inputs: String = closure
            .files()
            .iter()
            .map(|path| format!("{} {path}\n", self.all[path]))
            .collect();
        write(&made.join("inputs"), &inputs)?;
        description.version.clone_from(&self.tree.name);
        description.made_of = Some(MadeOf {
            source: self.tree.name.clone(),
            tree: self.tree.id.clone(),
            config: self.source.config.iter().map(ToString::to_string).collect(),
            with: self.with(),
            files: closure.files().len(),
        });
        Ok(description)
    }

    /// Says that the tree is old, if that may be why it does not build.
    fn too_old(&self, error: BuildError) -> BuildError {
        match error {
            BuildError::Make { .. } if self.version < TRIED_SINCE => BuildError::TooOld {
                version: self.version,
                compiler: self.toolchain.split(';').next().unwrap_or_default().to_owned(),
                source: Box::new(error),
            },
            error => error,
        }
    }
}

fn jobs() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The sum of the configuration that stands in a folder of objects, if one does.
fn config_sum(objects: &Path) -> Option<String> {
    let text = fs::read_to_string(objects.join(".config")).ok()?;
    let mut sum = Sha256::new();
    // The head comment names the version and the compiler; the options are what counts.
    for line in text
        .lines()
        .filter(|line| !line.starts_with('#') || line.ends_with(" is not set"))
    {
        sum.update(line);
        sum.update([b'\n']);
    }
    Some(hex(&sum.finalize()))
}

fn has_modules(objects: &Path) -> bool {
    let config = fs::read_to_string(objects.join(".config")).unwrap_or_default();
    Options::parse(&config).get("MODULES") == "y"
}

fn write(path: &Path, text: &str) -> Result<(), BuildError> {
    crate::run::write_beside(path, text.as_bytes()).map_err(|source| CacheError::io("write", path, source).into())
}

/// `VERSION` and `PATCHLEVEL` of a kernel's Makefile.
fn version_of(makefile: &str) -> (u32, u32) {
    let number = |name: &str| {
        let mut lines = makefile
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='));
        lines.next().and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    };
    (number("VERSION"), number("PATCHLEVEL"))
}

/// What make is told, so that the same source comes to the same bytes whoever builds it, when and how often.
fn variables(source: &TreeSource, cc: &str, version: (u32, u32)) -> BTreeMap<String, String> {
    let ccache = crate::tool::find("ccache").is_some() && !cc.contains("ccache");
    let with_ccache = |cc: &str| if ccache { format!("ccache {cc}") } else { cc.to_owned() };
    let mut variables = BTreeMap::new();
    let mut set = |name: &str, value: &str| drop(variables.insert(name.to_owned(), value.to_owned()));
    set("KBUILD_BUILD_TIMESTAMP", "Thu Jan  1 00:00:00 UTC 2026");
    set("KBUILD_BUILD_USER", "bioscope");
    set("KBUILD_BUILD_HOST", "bioscope");
    set("KBUILD_BUILD_VERSION", "1");
    // Set and empty: no `+` for a tree that git would call changed.
    set("LOCALVERSION", "");
    set("CC", &with_ccache(cc));
    // A warning that only a newer compiler gives is no reason not to build.
    set("KCFLAGS", "-Wno-error");
    if version < COMMON_BELOW {
        set("HOSTCFLAGS", "-fcommon");
    }
    variables.extend(source.make.clone());
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_makefiles_version_is_read() {
        let makefile = "# SPDX-License-Identifier: GPL-2.0\nVERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 192\n";
        assert_eq!(version_of(makefile), (6, 1));
        assert_eq!(version_of(""), (0, 0));
    }
}
