//! The ready fragments by the real Kconfig of a source, without a build, where the source's Makefile calls it by other
//! releases than its own.
//!
//! `BIOSCOPE_SOURCES='DIR@REV …'` names more sources, each a commit of a repository.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::fragment::Version;
use super::job::Job;
use super::make::Make;
use crate::package::{PackageSource, VersionRequest};
use crate::prepare::{Options, source_tree};
use crate::source::{self, Repo, Tree};
use crate::tree::{ConfigPart, Origin, TreeSource};
use host::cache::Cache;
use host::progress::Progress;

/// What Kconfig reads of a source.
const READ: [&str; 6] = [
    ":(glob)**/Kconfig*",
    "Makefile",
    "scripts",
    "arch/x86",
    "kernel/configs",
    "tools/build",
];
/// Both sides of each release at which a ready fragment has another rule, and of those that a source may be far from.
const CALLED: [Version; 12] = [
    (5, 4, 0),
    (5, 11, 0),
    (5, 12, 0),
    (5, 14, 0),
    (5, 17, 0),
    (5, 18, 0),
    (6, 1, 0),
    (6, 2, 0),
    (6, 5, 0),
    (6, 6, 0),
    (6, 13, 0),
    (6, 14, 0),
];

fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = package.ancestors().find(|dir| dir.join("kernels.toml").is_file());
    root.unwrap().to_owned()
}

/// All ready fragments together, in an order in which each can come out.
fn recipe(origin: Origin) -> TreeSource {
    let configs = root().join("kernels/configs");
    let parts = [
        "base",
        "btrfs",
        "ext4",
        "xfs",
        "debug",
        "quota",
        "trace",
        "mem",
        "fuse",
        "dm",
        "loop",
        "io_uring",
        "kasan",
        "lockdep",
        "btrfs-debug",
    ];
    assert_eq!(
        fs::read_dir(&configs).unwrap().count(),
        parts.len(),
        "a fragment is not tried"
    );
    let fragment = |name: &str| ConfigPart::Fragment {
        name: name.to_owned(),
        path: configs.join(format!("{name}.config")),
    };
    TreeSource {
        origin,
        patches: Vec::new(),
        config: std::iter::once(ConfigPart::Tiny).chain(parts.map(fragment)).collect(),
        cc: None,
        make: BTreeMap::new(),
    }
}

fn pinned() -> TreeSource {
    recipe(Origin::Package(PackageSource {
        suite: "bookworm-security".to_owned(),
        packages: vec!["linux-source-6.1".to_owned()],
        version: VersionRequest::Exactly("6.1.192-2".to_owned()),
    }))
}

/// What Kconfig reads of a tree, in a directory.
fn unpack(repo: &Repo, tree: &Tree, folder: &Path) {
    fs::create_dir(folder).unwrap();
    let mut archive = repo
        .git(&tree.alternates)
        .unwrap()
        .args(["archive", &tree.id, "--"])
        .args(
            READ.iter()
                .filter(|path| path.starts_with(':') || has(repo, tree, path)),
        )
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let status = Command::new("tar")
        .arg("-xC")
        .arg(folder)
        .stdin(archive.stdout.take().unwrap())
        .status()
        .unwrap();
    assert!(status.success() && archive.wait().unwrap().success(), "tar: {status}");
}

fn has(repo: &Repo, tree: &Tree, path: &str) -> bool {
    let name = format!("{}:{path}", tree.id);
    let mut git = repo.git(&tree.alternates).unwrap();
    git.args(["cat-file", "-e", &name]).status().unwrap().success()
}

/// A Makefile that says another release.
fn called(makefile: &str, (major, minor, sub): Version) -> String {
    let numbers = [("VERSION", major), ("PATCHLEVEL", minor), ("SUBLEVEL", sub)];
    let line = |line: &str| {
        let number = numbers.iter().find(|(name, _)| line.starts_with(&format!("{name} =")));
        match number {
            Some((name, number)) => format!("{name} = {number}\n"),
            None => format!("{line}\n"),
        }
    };
    makefile.lines().map(line).collect()
}

/// Tries all fragments on a source under each name; gives back what went wrong.
fn try_all(cache: &Cache, repo: &Repo, tree: &Tree, source: &TreeSource) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let (folder, objects) = (dir.path().join("source"), dir.path().join("objects"));
    unpack(repo, tree, &folder);
    fs::create_dir(&objects).unwrap();
    let makefile = fs::read_to_string(folder.join("Makefile")).unwrap();
    let mut job = Job::new(repo, &tree.name, tree, tree, source).unwrap();
    let lock = cache.lock("borders", || {}).unwrap();
    let log = dir.path().join("log");
    let mut wrong = Vec::new();
    for version in std::iter::once(job.version).chain(CALLED) {
        fs::write(folder.join("Makefile"), called(&makefile, version)).unwrap();
        job.version = version;
        let make = Make {
            source: &folder,
            objects: &objects,
            variables: job.variables.clone(),
            lock: lock.as_fd(),
            log: &log,
            stop: None,
        };
        let result = job.configure(&make, &Progress::hidden());
        println!(
            "{} called {version:?}: {}",
            tree.name,
            if result.is_ok() { "well" } else { "LOST" }
        );
        if let Err(error) = result {
            wrong.push(format!("{} called {version:?}: {error}", tree.name));
        }
    }
    wrong
}

#[test]
#[ignore = "runs the Kconfig of a kernel's source; run by cargo xtask selftest"]
fn whatever_a_source_calls_itself_its_fragments_come_out() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::of_user().unwrap();
    let lock = dir.path().join("kernels.lock");
    fs::copy(root().join("kernels.lock"), &lock).unwrap();
    let source = pinned();
    let (repo, tree) = source_tree(
        "pinned",
        &source,
        &lock,
        &cache,
        &Options::default(),
        &Progress::hidden(),
    )
    .unwrap();
    let mut sources = vec![(tree, source)];
    let more = std::env::var("BIOSCOPE_SOURCES").unwrap_or_default();
    for named in more.split_whitespace() {
        let (repository, rev) = named.rsplit_once('@').expect("DIR@REV");
        let tree = source::git(&repo, &cache, repository, rev, false, true, &Progress::hidden()).unwrap();
        let origin = Origin::Git {
            repository: repository.to_owned(),
            rev: rev.to_owned(),
            dirty: false,
        };
        sources.push((tree, recipe(origin)));
    }
    let wrong: Vec<String> = sources
        .iter()
        .flat_map(|(tree, source)| try_all(&cache, &repo, tree, source))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
