//! A history of the directories in which two source packages differ.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use fastrand::Rng;
use kernels::source::{Listing, Repo, Tree};

use crate::repository::History;
use crate::{Failed, Options};

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

/// Makes the commits from one tree to the other; gives back how many.
pub fn make(history: &History, repo: &Repo, trees: [&Tree; 2], options: &Options) -> Result<usize, Failed> {
    let [old, new] = trees;
    let mut rng = Rng::with_seed(options.seed);
    let mut steps = plan(repo, old, new, &mut rng)?;
    if let Some(commits) = options.commits {
        shorten(&mut steps, commits, &options.keep)?;
    }
    let bug = options.bugs.first().map(PathBuf::as_path);
    mix_in(&mut steps, options.broken, bug, &mut rng)?;
    history.read(old)?;
    let mut last = history.commit(&format!("{}\n", old.name), None)?;
    history.git(&["tag", "old", &last])?;
    for step in &steps {
        let message = take(history, step, new)?;
        last = history.commit(&message, Some(&last))?;
        if matches!(step, Step::Bug(_)) {
            println!("the bug is {last}");
        }
    }
    history.end(&last)?;
    Ok(steps.len())
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

/// Does a step to the index; gives back the commit's message.
fn take(history: &History, step: &Step, new: &Tree) -> Result<String, Failed> {
    match step {
        Step::Take(folder, paths) => {
            let mut wanted = vec!["ls-tree", "-r", &new.id, "--"];
            wanted.extend(paths.iter().map(String::as_str));
            let entries = history.git(&wanted)?;
            let there: BTreeSet<&str> = entries
                .lines()
                .filter_map(|line| Some(line.split_once('\t')?.1))
                .collect();
            let mut lines: String = entries.lines().map(|line| format!("{line}\n")).collect();
            for gone in paths.iter().filter(|path| !there.contains(path.as_str())) {
                lines.push_str(&format!("0 0000000000000000000000000000000000000000\t{gone}\n"));
            }
            history.with_input(&["update-index", "--index-info"], &lines)?;
            Ok(format!("{folder}: as in {}\n\n{}\n", new.name, paths.join("\n")))
        }
        Step::Break(breaks) => {
            let text = history.file(BROKEN_FILE)?;
            let line = "#error \"put in so that it does not compile\"";
            let text = if *breaks {
                format!("{text}\n{line}\n")
            } else {
                text.replace(line, "")
            };
            history.write(BROKEN_FILE, &text)?;
            let what = if *breaks {
                "does not compile from here on"
            } else {
                "compiles again"
            };
            Ok(format!("{BROKEN_FILE}: {what}\n"))
        }
        Step::Bug(patch) => {
            let path = patch.to_string_lossy();
            history.git(&["apply", "--cached", &path])?;
            Ok("put in: a bug\n".to_owned())
        }
    }
}
