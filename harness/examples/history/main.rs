//! Makes a git history, to try a bisection on: of the directories in which two source packages of a distribution
//! differ, or across releases.
//!
//!     cargo run --release --package harness --example history -- DIR [--old SUITE:VERSION]
//!         [--new SUITE:VERSION] [--seed N] [--broken N] [--bug PATCH]
//!         [--commits N --keep FOLDER …]
//!     cargo run --release --package harness --example history -- DIR --line TREE --line TREE …
//!         [--touch FILE …] [--bug PATCH … --bug-at N]
//!
//! The repository has no working copy and borrows its content from the cache's and from that of the trees.
//!
//! # Two packages
//!
//! One commit a directory that differs, in a random order that follows from the seed. Directories of which one changes
//! what another one uses go into one commit (a word that a header's change adds or takes away, and the other's change
//! has, too), so that most commits build; those that do not are what a bisection has to cope with anyway. `--broken N`
//! puts in N commits that do not compile, each taken back one to three commits later. `--bug PATCH` applies a patch at
//! a random place. `--commits N` makes a short one: of the commits only so many, those of the directories to keep among
//! them and none of more than a few files besides, so its newest end is not quite the newer package.
//!
//! # Across releases
//!
//! `--line` names releases in order, each a package (SUITE:VERSION), a repository's commit (DIR@REV) or a directory
//! with source. Between two of them are, as in a kernel's own history:
//!
//! 1. the merge window: one commit with all of the newer tree, which still calls itself by the release before, and
//!    commits of one file each (a comment in a file that `--touch` names);
//! 2. the newer release's first candidate: the Makefile says its version;
//! 3. the same commits of one file again.
//!
//! `--bug PATCH --bug-at N` puts in a bug after the first commit of the Nth merge window, counted from 1. It stays to
//! the end. Where releases need different patches, `--bug` is given for each, and the first that applies is taken.

mod lines;
mod packages;
mod repository;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::{Path, PathBuf};

use host::cache::Cache;
use host::progress::Progress;
use kernels::package::{PackageSource, VersionRequest};
use kernels::source::{self, Repo, Tree};
use kernels::{ConfigPart, Origin, TreeSource, source_tree};

use repository::History;

type Failed = Box<dyn Error>;

/// What the command line says.
struct Options {
    dir: PathBuf,
    old: String,
    new: String,
    seed: u64,
    broken: usize,
    commits: Option<usize>,
    keep: Vec<String>,
    bugs: Vec<PathBuf>,
    /// The merge window that the bug comes in, from 1.
    bug_at: usize,
    lines: Vec<String>,
    touch: Vec<String>,
}

fn main() -> Result<(), Failed> {
    let options = options()?;
    let cache = Cache::of_user()?;
    let repo = Repo::open(&cache)?;
    let named = if options.lines.is_empty() {
        vec![options.old.clone(), options.new.clone()]
    } else {
        options.lines.clone()
    };
    let trees = named
        .iter()
        .map(|named| tree(&cache, &repo, named))
        .collect::<Result<Vec<Tree>, Failed>>()?;
    let lenders: BTreeSet<PathBuf> = trees.iter().flat_map(|tree| tree.alternates.clone()).collect();
    let history = History::create(&options.dir, &cache, &lenders)?;
    let commits = match trees.as_slice() {
        [old, new] if options.lines.is_empty() => packages::make(&history, &repo, [old, new], &options)?,
        [_, _, ..] => lines::make(&history, &trees, &options)?,
        _ => return Err("--line: name two releases or more".into()),
    };
    println!("{commits} commits from old to new in {}", options.dir.display());
    Ok(())
}

fn options() -> Result<Options, Failed> {
    let mut options = Options {
        dir: PathBuf::new(),
        old: "bookworm:6.1.176-1".to_owned(),
        new: "bookworm-security:6.1.187-1".to_owned(),
        seed: 1,
        broken: 4,
        commits: None,
        keep: Vec::new(),
        bugs: Vec::new(),
        bug_at: 1,
        lines: Vec::new(),
        touch: Vec::new(),
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--old" => options.old = value()?,
            "--new" => options.new = value()?,
            "--seed" => options.seed = value()?.parse()?,
            "--broken" => options.broken = value()?.parse()?,
            "--commits" => options.commits = Some(value()?.parse()?),
            "--keep" => options.keep.push(value()?),
            "--bug" => options.bugs.push(PathBuf::from(value()?).canonicalize()?),
            "--bug-at" => options.bug_at = value()?.parse()?,
            "--line" => options.lines.push(value()?),
            "--touch" => options.touch.push(value()?),
            _ if options.dir.as_os_str().is_empty() && !arg.starts_with('-') => options.dir = PathBuf::from(arg),
            _ => return Err(format!("unknown argument {arg}; the head of this file says how it is used").into()),
        }
    }
    if options.dir.as_os_str().is_empty() {
        return Err("name the directory of the repository to make".into());
    }
    Ok(options)
}

/// A tree by SUITE:VERSION, DIR@REV or DIR.
fn tree(cache: &Cache, repo: &Repo, named: &str) -> Result<Tree, Failed> {
    let (dir, rev) = named.rsplit_once('@').unwrap_or((named, ""));
    if Path::new(dir).is_dir() {
        let is_dirty = rev.is_empty();
        return Ok(source::git(
            repo,
            cache,
            dir,
            rev,
            is_dirty,
            false,
            &Progress::stderr(),
        )?);
    }
    let (suite, version) = named
        .split_once(':')
        .ok_or("expected SUITE:VERSION, DIR@REV or a directory")?;
    let release: Vec<&str> = version.splitn(3, '.').collect();
    let [major, minor, _] = release[..] else {
        return Err(format!("expected a version like 6.1.176-1, not {version}").into());
    };
    let source = TreeSource {
        origin: Origin::Package(PackageSource {
            suite: suite.to_owned(),
            packages: vec![format!("linux-source-{major}.{minor}")],
            version: VersionRequest::Exactly(version.to_owned()),
        }),
        patches: Vec::new(),
        config: vec![ConfigPart::Tiny],
        cc: None,
        make: BTreeMap::new(),
    };
    let scratch = cache.scratch("history")?;
    let lock = scratch.path().join("kernels.lock");
    let id = format!("source-{version}");
    Ok(source_tree(
        &id,
        &source,
        &lock,
        cache,
        &kernels::Options::default(),
        &Progress::stderr(),
    )?
    .1)
}
