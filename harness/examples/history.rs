//! Makes a git history out of two source packages of a distribution, to try a bisection on: one commit a directory that
//! differs, in a random order that follows from the seed.
//!
//!     cargo run --release --package harness --example history -- DIR [--old SUITE:VERSION]
//!         [--new SUITE:VERSION] [--seed N] [--broken N] [--bug PATCH]
//!         [--commits N --keep FOLDER …]
//!
//! Directories of which one changes what another one uses go into one commit (a word that a header's change adds or
//! takes away, and the other's change has, too), so that most commits build; those that do not are what a bisection has
//! to cope with anyway. `--broken N` puts in N commits that do not compile, each taken back one to three commits later.
//! `--bug PATCH` applies a patch at a random place. `--commits N` makes a short one: of the commits only so many, those
//! of the directories to keep among them and none of more than a few files besides, so its newest end is not quite the
//! newer package. The repository has no working copy and borrows its content from the cache's.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fastrand::Rng;
use host::cache::Cache;
use host::progress::Progress;
use kernels::package::{PackageSource, VersionRequest};
use kernels::source::{Listing, Repo, Tree};
use kernels::{ConfigPart, Options, Origin, TreeSource, source_tree};

type Failed = Box<dyn Error>;

/// Commits put into the line: what each does to the index.
enum Step {
    /// Takes files of the new tree.
    Take(String, Vec<String>),
    /// Puts a line that does not compile into a file, or takes it away.
    Break(bool),
    /// Applies a patch.
    Bug(PathBuf),
}

/// A file of every build, which neither version changes.
const BROKEN_FILE: &str = "fs/read_write.c";

fn main() -> Result<(), Failed> {
    let mut args = std::env::args().skip(1);
    let (mut dir, mut bug) = (None, None);
    let (mut old, mut new) = (
        "bookworm:6.1.176-1".to_owned(),
        "bookworm-security:6.1.187-1".to_owned(),
    );
    let (mut seed, mut broken) = (1, 4);
    let (mut commits, mut keep) = (None, Vec::new());
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--old" => old = value()?,
            "--new" => new = value()?,
            "--seed" => seed = value()?.parse()?,
            "--broken" => broken = value()?.parse()?,
            "--commits" => commits = Some(value()?.parse::<usize>()?),
            "--keep" => keep.push(value()?),
            "--bug" => bug = Some(PathBuf::from(value()?).canonicalize()?),
            _ if dir.is_none() && !arg.starts_with('-') => dir = Some(PathBuf::from(arg)),
            _ => return Err(format!("unknown argument {arg}; the head of this file says how it is used").into()),
        }
    }
    let dir = dir.ok_or("name the directory of the repository to make")?;
    let cache = Cache::of_user()?;
    let repo = Repo::open(&cache)?;
    let old = package(&cache, &old)?;
    let new = package(&cache, &new)?;
    let mut rng = Rng::with_seed(seed);
    let mut steps = plan(&repo, &old, &new, &mut rng)?;
    if let Some(commits) = commits {
        shorten(&mut steps, commits, &keep)?;
    }
    mix_in(&mut steps, broken, bug.as_deref(), &mut rng)?;
    let history = History::create(&dir, &cache)?;
    history.read(&old)?;
    let mut last = history.commit(&format!("{}\n", old.name), None)?;
    history.git(&["tag", "old", &last])?;
    for step in &steps {
        let message = history.take(step, &new)?;
        last = history.commit(&message, Some(&last))?;
        if matches!(step, Step::Bug(_)) {
            println!("the bug is {last}");
        }
    }
    history.git(&["update-ref", "refs/heads/master", &last])?;
    history.git(&["tag", "new", &last])?;
    println!("{} commits from old to new in {}", steps.len(), dir.display());
    Ok(())
}

/// The tree of a source package.
fn package(cache: &Cache, named: &str) -> Result<Tree, Failed> {
    let (suite, version) = named.split_once(':').ok_or("expected SUITE:VERSION")?;
    let source = TreeSource {
        origin: Origin::Package(PackageSource {
            suite: suite.to_owned(),
            packages: vec!["linux-source-6.1".to_owned()],
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
    Ok(source_tree(&id, &source, &lock, cache, &Options::default(), &Progress::stderr())?.1)
}

/// The commits between two trees.
fn plan(repo: &Repo, old: &Tree, new: &Tree, rng: &mut Rng) -> Result<Vec<Step>, Failed> {
    let (before, after) = (repo.listing(old)?, repo.listing(new)?);
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differ: Vec<&String> = names
        .into_iter()
        .filter(|path| before.get(*path) != after.get(*path))
        .collect();
    let folder = |path: &str| path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
    let folders: Vec<String> = differ
        .iter()
        .map(|path| folder(path))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let place = |path: &str| folders.binary_search(&folder(path)).unwrap_or_default();
    // Directories of one commit have the same leader.
    let mut leader: Vec<usize> = (0..folders.len()).collect();
    let mut owner: BTreeMap<String, usize> = BTreeMap::new();
    let words = changed_words(repo, old, new)?;
    for (path, words) in words.iter().filter(|(path, _)| path.ends_with(".h")) {
        for word in words {
            owner.entry(word.clone()).or_insert_with(|| place(path));
        }
    }
    for (path, words) in &words {
        for declared in words.iter().filter_map(|word| owner.get(word)) {
            join(&mut leader, *declared, place(path));
        }
    }
    // A directory that comes or goes does so with the one above it, whose Kconfig and Makefile name it.
    let (were, are) = (folders_of(&before), folders_of(&after));
    for (at, folder) in folders.iter().enumerate() {
        let above = folder.rsplit_once('/').map_or("", |(above, _)| above).to_owned();
        if were.contains(folder.as_str()) != are.contains(folder.as_str())
            && let Ok(above) = folders.binary_search(&above)
        {
            join(&mut leader, above, at);
        }
    }
    let mut groups: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for path in &differ {
        groups
            .entry(find(&mut leader, place(path)))
            .or_default()
            .push((*path).clone());
    }
    let mut steps: Vec<Step> = groups
        .into_iter()
        .map(|(first, paths)| Step::Take(folders[first].clone(), paths))
        .collect();
    rng.shuffle(&mut steps);
    println!(
        "{} files in {} directories differ, which makes {} commits",
        differ.len(),
        folders.len(),
        steps.len()
    );
    Ok(steps)
}

/// Files of a commit that goes into a short history for the sake of its length.
const FEW: usize = 8;

/// Leaves so many commits, those of some directories among them.
fn shorten(steps: &mut Vec<Step>, commits: usize, keep: &[String]) -> Result<(), Failed> {
    let is_kept = |step: &Step| matches!(step, Step::Take(folder, _) if keep.contains(folder));
    let kept = steps.iter().filter(|step| is_kept(step)).count();
    if kept < keep.len() {
        return Err(format!(
            "--keep: {kept} of the {} directories have a commit of their own",
            keep.len()
        )
        .into());
    }
    let mut others = commits.saturating_sub(kept);
    steps.retain(|step| {
        let is_small = matches!(step, Step::Take(_, paths) if paths.len() <= FEW);
        let goes_in = !is_kept(step) && is_small && others > 0;
        others -= usize::from(goes_in);
        goes_in || is_kept(step)
    });
    Ok(())
}

/// Puts commits that do not compile, and a bug, at places that follow from the seed.
fn mix_in(steps: &mut Vec<Step>, broken: usize, bug: Option<&Path>, rng: &mut Rng) -> Result<(), Failed> {
    for _ in 0..broken {
        let at = rng.usize(1..steps.len() - 3);
        let fixed = at + rng.usize(1..4);
        steps.insert(at, Step::Break(true));
        steps.insert(fixed, Step::Break(false));
    }
    // Breaks that overlap come to one.
    let mut is_broken = false;
    steps.retain(|step| match step {
        Step::Break(breaks) => std::mem::replace(&mut is_broken, *breaks) != *breaks,
        _ => true,
    });
    if let Some(bug) = bug {
        let text = std::fs::read_to_string(bug)?;
        let touched: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("+++ b/")).collect();
        // Not before a commit that would take it away again.
        let touches = |path: &String| touched.contains(&path.as_str());
        let takes = |step: &Step| matches!(step, Step::Take(_, paths) if paths.iter().any(touches));
        let earliest = steps.iter().rposition(takes).map_or(0, |at| at + 1);
        steps.insert(rng.usize(earliest..=steps.len()), Step::Bug(bug.to_owned()));
    }
    Ok(())
}

/// Every directory of a tree that holds a file.
fn folders_of(listing: &Listing) -> BTreeSet<&str> {
    listing
        .keys()
        .filter_map(|path| Some(path.rsplit_once('/')?.0))
        .collect()
}

/// For each file that differs the names of functions, macros and types that it has more of (`+`) or no longer (`-`).
fn changed_words(repo: &Repo, old: &Tree, new: &Tree) -> Result<BTreeMap<String, BTreeSet<String>>, Failed> {
    let mut command = repo.git(&[])?;
    let output = command
        .args(["diff-tree", "-r", "-p", "--no-renames", "-U0", &old.id, &new.id])
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut words: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut path = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("diff --git a/") {
            path = rest.split(" b/").next().unwrap_or(rest).to_owned();
        } else if line.starts_with(['+', '-']) && !line.starts_with("+++") && !line.starts_with("---") {
            let sign = &line[..1];
            let named = names(&line[1..]).map(|name| format!("{sign}{name}"));
            words.entry(path.clone()).or_default().extend(named);
        }
    }
    // What stands on both sides is there before and after.
    for of_file in words.values_mut() {
        let both: BTreeSet<String> = of_file
            .iter()
            .filter_map(|word| word.strip_prefix('+'))
            .filter(|name| of_file.contains(&format!("-{name}")))
            .map(str::to_owned)
            .collect();
        of_file.retain(|word| !both.contains(&word[1..]));
    }
    // What only a few files have is what they share; a word of many is none of theirs.
    let mut files: BTreeMap<&String, usize> = BTreeMap::new();
    for word in words.values().flatten() {
        *files.entry(word).or_default() += 1;
    }
    let common: BTreeSet<String> = files
        .iter()
        .filter(|(_, count)| **count > 12)
        .map(|(word, _)| (*word).clone())
        .collect();
    for of_file in words.values_mut() {
        of_file.retain(|word| !common.contains(word));
    }
    Ok(words)
}

/// Identifiers of a line that look like those that one file declares for another.
fn names(line: &str) -> impl Iterator<Item = String> + '_ {
    line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.len() >= 8 && word.contains('_') && !word.starts_with(|c: char| c.is_ascii_digit()))
        .map(str::to_owned)
}

fn find(leader: &mut [usize], mut at: usize) -> usize {
    while leader[at] != at {
        leader[at] = leader[leader[at]];
        at = leader[at];
    }
    at
}

fn join(leader: &mut [usize], one: usize, other: usize) {
    let (one, other) = (find(leader, one), find(leader, other));
    leader[one.max(other)] = one.min(other);
}

/// The repository that is made.
struct History {
    dir: PathBuf,
}

impl History {
    fn create(dir: &Path, cache: &Cache) -> Result<Self, Failed> {
        let status = Command::new("git")
            .args(["init", "--quiet", "--bare"])
            .arg(dir)
            .status()?;
        if !status.success() {
            return Err("git init failed".into());
        }
        let dir = dir.canonicalize()?;
        let objects = cache.root().join("sources.git/objects");
        std::fs::write(dir.join("objects/info/alternates"), format!("{}\n", objects.display()))?;
        Ok(History { dir })
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .args(["-c", "index.version=4", "-c", "gc.auto=0"])
            .args(args)
            .env("GIT_DIR", &self.dir)
            .env("GIT_INDEX_FILE", self.dir.join("making"));
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "history");
            command.env(format!("GIT_{who}_EMAIL"), "history@localhost");
            command.env(format!("GIT_{who}_DATE"), "@0 +0000");
        }
        command
    }

    fn git(&self, args: &[&str]) -> Result<String, Failed> {
        self.with_input(args, "")
    }

    fn with_input(&self, args: &[&str], input: &str) -> Result<String, Failed> {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let text = input.to_owned();
        let mut stdin = child.stdin.take().ok_or("no standard input")?;
        let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
        let output = child.wait_with_output()?;
        let _ = writer.join();
        if !output.status.success() {
            return Err(format!("git {} failed", args.join(" ")).into());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn read(&self, tree: &Tree) -> Result<(), Failed> {
        self.git(&["read-tree", &tree.id]).map(drop)
    }

    fn commit(&self, message: &str, parent: Option<&str>) -> Result<String, Failed> {
        let tree = self.git(&["write-tree"])?;
        let mut args = vec!["commit-tree", &tree];
        if let Some(parent) = parent {
            args.extend(["-p", parent]);
        }
        self.with_input(&args, message)
    }

    /// Does a step to the index; gives back the commit's message.
    fn take(&self, step: &Step, new: &Tree) -> Result<String, Failed> {
        match step {
            Step::Take(folder, paths) => {
                let mut wanted = vec!["ls-tree", "-r", &new.id, "--"];
                wanted.extend(paths.iter().map(String::as_str));
                let entries = self.git(&wanted)?;
                let there: BTreeSet<&str> = entries
                    .lines()
                    .filter_map(|line| Some(line.split_once('\t')?.1))
                    .collect();
                let mut lines: String = entries.lines().map(|line| format!("{line}\n")).collect();
                for gone in paths.iter().filter(|path| !there.contains(path.as_str())) {
                    lines.push_str(&format!("0 0000000000000000000000000000000000000000\t{gone}\n"));
                }
                self.with_input(&["update-index", "--index-info"], &lines)?;
                Ok(format!("{folder}: as in {}\n\n{}\n", new.name, paths.join("\n")))
            }
            Step::Break(breaks) => {
                let text = self.git(&["cat-file", "blob", &format!(":{BROKEN_FILE}")])?;
                let line = "#error \"put in so that it does not compile\"";
                let text = if *breaks {
                    format!("{text}\n{line}\n")
                } else {
                    text.replace(line, "")
                };
                let text = format!("{}\n", text.trim_end());
                let blob = self.with_input(&["hash-object", "-w", "--stdin"], &text)?;
                self.git(&["update-index", "--cacheinfo", &format!("100644,{blob},{BROKEN_FILE}")])?;
                let what = if *breaks {
                    "does not compile from here on"
                } else {
                    "compiles again"
                };
                Ok(format!("{BROKEN_FILE}: {what}\n"))
            }
            Step::Bug(patch) => {
                let path = patch.to_string_lossy();
                self.git(&["apply", "--cached", &path])?;
                Ok("put in: a bug\n".to_owned())
            }
        }
    }
}
