//! Which folders of a difference have to change in one commit, since neither builds without the other's part.
//!
//! A folder changes as a whole. What two folders have in common is found by names: those that a header's change adds or takes away, or whose declaration it
//! changes, bind the header's folder to every folder whose own changes mention them. That binds more than it has to; whether it binds enough, a
//! build of each commit that reaches the build tells.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Shorter names say nothing.
const NAME_MIN: usize = 4;

/// A file's lines.
#[derive(Debug, Default)]
pub struct FileDiff {
    pub removed: Vec<String>,
    pub added: Vec<String>,
}

/// Reads `git diff`: each file's lines.
pub fn read_diff(text: &str) -> BTreeMap<String, FileDiff> {
    let mut files: BTreeMap<String, FileDiff> = BTreeMap::new();
    let mut path = String::new();
    let mut in_hunk = false;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("diff --git a/") {
            // Both names are the same, for renames are not looked for.
            path = rest.split(" b/").next().unwrap_or_default().to_owned();
            in_hunk = false;
            files.entry(path.clone()).or_default();
            continue;
        }
        let Some(file) = files.get_mut(&path) else { continue };
        if line.starts_with("@@ ") {
            in_hunk = true;
        } else if in_hunk && let Some(line) = line.strip_prefix('-') {
            file.removed.push(line.to_owned());
        } else if in_hunk && let Some(line) = line.strip_prefix('+') {
            file.added.push(line.to_owned());
        }
    }
    files
}

/// Names that headers' changes may bring or take away: whether they do, the headers that do not change tell.
pub fn candidates(files: &BTreeMap<String, FileDiff>) -> (BTreeSet<String>, BTreeSet<String>) {
    let headers = || {
        files
            .iter()
            .filter(|(path, _)| path.ends_with(".h"))
            .map(|(_, file)| file)
    };
    let all = |lines: fn(&FileDiff) -> &[String]| {
        headers()
            .flat_map(lines)
            .flat_map(|line| names(line))
            .map(str::to_owned)
            .collect()
    };
    (all(|file| &file.added), all(|file| &file.removed))
}

/// The folders of a difference, in groups that change together. `known` are names that some header has before, `kept` those that one has after.
pub fn groups(files: &BTreeMap<String, FileDiff>, known: &HashSet<String>, kept: &HashSet<String>) -> Vec<Vec<String>> {
    let folders: Vec<&str> = files
        .keys()
        .map(|path| folder(path))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let number: HashMap<&str, usize> = folders.iter().enumerate().map(|(at, name)| (*name, at)).collect();
    let mut mentioned: HashMap<&str, BTreeSet<usize>> = HashMap::new();
    for (path, file) in files.iter().filter(|(path, _)| is_code(path)) {
        for name in file.removed.iter().chain(&file.added).flat_map(|line| names(line)) {
            mentioned.entry(name).or_default().insert(number[folder(path)]);
        }
    }
    let mut parent: Vec<usize> = (0..folders.len()).collect();
    for (path, file) in files.iter().filter(|(path, _)| path.ends_with(".h")) {
        let own = number[folder(path)];
        for name in binding(file, known, kept) {
            let others = mentioned.get(name).into_iter().flatten();
            for other in others.filter(|other| is_public(path) || near(path, folders[**other])) {
                let (a, b) = (root(&mut parent, own), root(&mut parent, *other));
                parent[a.max(b)] = a.min(b);
            }
        }
    }
    let mut groups: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for (at, name) in folders.iter().enumerate() {
        let root = root(&mut parent, at);
        groups.entry(root).or_default().push((*name).to_owned());
    }
    groups.into_values().collect()
}

/// The folder that a file is in; empty for the top.
pub fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The first of the group that one is in.
fn root(parent: &mut [usize], mut at: usize) -> usize {
    while parent[at] != at {
        parent[at] = parent[parent[at]];
        at = parent[at];
    }
    at
}

fn is_code(path: &str) -> bool {
    [".c", ".h", ".S"].iter().any(|end| path.ends_with(end))
}

/// Whether everybody includes it.
fn is_public(header: &str) -> bool {
    header.starts_with("include/") || header.contains("/include/")
}

/// Whether two paths are in one part of the kernel, such as `drivers/net`.
fn near(header: &str, folder: &str) -> bool {
    let part = |path: &str| path.split('/').take(2).map(str::to_owned).collect::<Vec<_>>();
    part(header) == part(folder)
}

/// Names of a header that others have to know of: new ones, those that are gone, and functions and macros that are declared in another way.
fn binding<'a>(file: &'a FileDiff, known: &HashSet<String>, kept: &HashSet<String>) -> HashSet<&'a str> {
    fn of(lines: &[String]) -> HashSet<&str> {
        lines.iter().flat_map(|line| names(line)).collect()
    }
    fn declares(lines: &[String]) -> HashSet<&str> {
        let declared =
            |line: &&String| line.starts_with(|c: char| c.is_ascii_alphabetic()) || line.starts_with("#define");
        lines.iter().filter(declared).filter_map(|line| called(line)).collect()
    }
    let new = of(&file.added).into_iter().filter(|name| !known.contains(*name));
    let gone = of(&file.removed).into_iter().filter(|name| !kept.contains(*name));
    let otherwise = declares(&file.removed);
    let otherwise = otherwise
        .intersection(&declares(&file.added))
        .copied()
        .collect::<Vec<_>>();
    new.chain(gone).chain(otherwise).collect()
}

/// The function or macro that a line declares: the name before the first parenthesis.
fn called(line: &str) -> Option<&str> {
    let (before, _) = line.split_once('(')?;
    names(before).last().filter(|name| before.trim_end().ends_with(name))
}

/// The identifiers of a line that look like a name of the kernel's, and not like a word of a comment.
pub fn names(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.len() >= NAME_MIN && !word.starts_with(|c: char| c.is_ascii_digit()))
        .filter(|word| word.contains('_') || word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit()))
}
