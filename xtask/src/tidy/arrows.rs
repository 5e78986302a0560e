//! Arrows between the files of a crate: none may lead in a circle, and a drawing in ARCHITECTURE.md, if there is one,
//! holds.
//!
//! A file has an arrow to another if its code names something that the other defines: by a path, or by an import of
//! more than a module. Names are followed through imports and re-exports to the file that defines them, so that a
//! facade is no hub. Hence:
//! - `mod x;` is no arrow, nor is a parent's re-export of what is defined below it (`pub use x::Y`);
//! - `use crate::x;` is none if x is a module; what the code then names by it is one to where that is defined;
//! - a child's `super::Y` is an arrow to the parent only if the parent defines Y itself, and in a circle only if the
//!   parent's code names something of the child. Such a pair is told apart from other circles.
//!
//! What is compiled for tests only does not count. What cannot be seen: methods, and what macros make names of. A
//! name that a macro defines is taken to be in the file of the longest part of the path that is a module.
//!
//! A drawing is a block marked `files CRATE` with lines `name -> name name`. A name is the path of a module from the
//! root, `plan` or `plan::parse`, and stands for what is below it too, as far as that is not drawn by itself; `lib`
//! is the root. Arrows within a name need not be drawn.

use std::collections::{BTreeMap, BTreeSet};

use super::circles;
use super::drawing::{Drawing, FILE};
use super::finding::{Finding, Kind};
use super::modules::Crate;
use super::sources::Sources;
use super::targets::Target;
use crate::workspace::Member;

mod resolve;

use resolve::{Arrows, arrows_of};

pub(crate) fn check(member: &Member, targets: &[Target], sources: &Sources) -> Vec<Finding> {
    let sources_folder = format!("{}/src/", member.folder.display());
    let mut findings = Vec::new();
    for target in targets {
        if !target.root.starts_with(&sources_folder) {
            continue;
        }
        let arrows = arrows_of(&target.modules);
        let families = families(&target.modules, &arrows);
        findings.extend(families.iter().map(|(child, parent)| {
            let advice = "move what the child needs to a file of its own";
            finding(&[parent, child], &arrows, Kind::Family, advice)
        }));
        findings.extend(in_circles(&arrows, &families));
        let mark = format!("files {}", member.name);
        let is_drawn = target.root == root_of_drawing(member, sources);
        if let Some(drawing) = is_drawn.then(|| Drawing::find(sources, &mark)).flatten() {
            findings.extend(against(&drawing, &target.modules, &arrows));
        }
    }
    findings
}

/// The root of the crate of a package that a drawing is of: the library, or the program if there is none.
fn root_of_drawing(member: &Member, sources: &Sources) -> String {
    let library = format!("{}/src/lib.rs", member.folder.display());
    if sources.is_there(&library) {
        library
    } else {
        format!("{}/src/main.rs", member.folder.display())
    }
}

/// Drawings of the files of a crate that does not exist.
pub(crate) fn of_nothing(members: &[Member], sources: &Sources) -> Vec<Finding> {
    let is_known = |name: &str| members.iter().any(|member| member.name == name);
    let marks = Drawing::marks(sources).into_iter();
    let unknown = marks.filter_map(|(line, mark)| {
        let name = mark.strip_prefix("files ").filter(|name| !is_known(name))?;
        let message = format!("the files of `{name}` are drawn, but there is no such crate, take the block out");
        Some(Finding::new(FILE, line, Kind::FileArrow, message))
    });
    unknown.collect()
}

/// A child and its parent, at whatever depth, of which each names the other.
fn families<'a>(modules: &Crate, arrows: &'a Arrows) -> BTreeSet<(&'a str, &'a str)> {
    let pairs = arrows.keys().map(|(from, to)| (from.as_str(), to.as_str()));
    let is_mutual = |(from, to): &(&str, &str)| arrows.contains_key(&((*to).to_owned(), (*from).to_owned()));
    pairs
        .filter(|pair| is_mutual(pair) && modules.is_below(pair.0, pair.1))
        .collect()
}

/// A finding a circle that is more than families.
///
/// Of these only one direction is looked at, and then the other: they are no circle then, but part of one that leads
/// through other files.
fn in_circles(arrows: &Arrows, families: &BTreeSet<(&str, &str)>) -> Vec<Finding> {
    let mut found: BTreeMap<Vec<&str>, usize> = BTreeMap::new();
    for is_upward in [true, false] {
        let pairs = || {
            let all = arrows.keys().map(|(from, to)| (from.as_str(), to.as_str()));
            all.filter(|(from, to)| !families.contains(&if is_upward { (to, from) } else { (from, to) }))
        };
        let sizes = circles::group_sizes(pairs());
        for circle in circles::find(pairs()) {
            let size = circle.first().and_then(|first| sizes.get(first));
            found.entry(circle).or_insert(size.copied().unwrap_or_default());
        }
    }
    let advice = "turn one arrow or move what both need to a file of its own";
    let describe = |(circle, size): (&Vec<&str>, &usize)| {
        let more = format!("{advice} ({size} files are tied together)");
        let advice = if *size > circle.len() { &more } else { advice };
        finding(circle, arrows, Kind::FileArrow, advice)
    };
    found.iter().map(describe).collect()
}

/// A finding at the first arrow of a circle.
fn finding(circle: &[&str], arrows: &Arrows, kind: Kind, advice: &str) -> Finding {
    let next = circle.iter().cycle().skip(1);
    let seen = circle.iter().zip(next).filter_map(|(from, to)| {
        let seen = arrows.get(&((*from).to_owned(), (*to).to_owned()))?;
        Some((seen.line, format!("{from}:{} names {}", seen.line, seen.path)))
    });
    let (lines, ways): (Vec<usize>, Vec<String>) = seen.unzip();
    let (file, line) = (circle.first().copied().unwrap_or_default(), lines.first().copied());
    let message = format!("a circle of files ({}), {advice}", ways.join(", "));
    Finding::new(file, line.unwrap_or(1), kind, message)
}

/// Holds arrows against a drawing of them.
fn against(drawing: &Drawing, modules: &Crate, arrows: &Arrows) -> Vec<Finding> {
    let named = names(modules);
    // A module is drawn, or one that it is in.
    let drawn = |file: &str| {
        let mut name = named.get(file)?.as_str();
        while !drawing.names.contains_key(name) {
            name = name.rsplit_once("::")?.0;
        }
        Some(name)
    };
    let known: BTreeSet<&str> = named.values().map(String::as_str).collect();
    let without: BTreeSet<&str> = named
        .iter()
        .filter(|(file, _)| drawn(file).is_none())
        .map(|(_, name)| name.split_once("::").map_or(name.as_str(), |(top, _)| top))
        .collect();
    let expected: BTreeSet<&str> = known
        .iter()
        .filter(|name| drawing.names.contains_key(**name))
        .chain(&without)
        .copied()
        .collect();
    let mut findings = drawing.problems(&expected, Kind::FileArrow);
    let mut seen_arrows = BTreeSet::new();
    for ((from, to), seen) in arrows {
        let (Some(from_name), Some(to_name)) = (drawn(from), drawn(to)) else {
            continue;
        };
        let arrow = (from_name.to_owned(), to_name.to_owned());
        if from_name != to_name && !drawing.arrows.contains_key(&arrow) {
            let message = format!(
                "it names {}, and {from_name} -> {to_name} is not drawn, take it out or draw it in {FILE}",
                seen.path
            );
            findings.push(Finding::new(from, seen.line, Kind::FileArrow, message));
        }
        seen_arrows.insert(arrow);
    }
    for (arrow, line) in &drawing.arrows {
        let are_known = known.contains(arrow.0.as_str()) && known.contains(arrow.1.as_str());
        if are_known && !seen_arrows.contains(arrow) {
            let message = format!(
                "{} -> {} is drawn, but no file of it names one, take it out",
                arrow.0, arrow.1
            );
            findings.push(Finding::new(FILE, *line, Kind::FileArrow, message));
        }
    }
    findings
}

/// The path of the module that each file is, as drawings have it.
fn names(modules: &Crate) -> BTreeMap<&str, String> {
    let mut names = BTreeMap::from([(0, "lib".to_owned())]);
    // A module stands behind the one that it is in.
    for (index, module) in modules.modules.iter().enumerate() {
        for (name, child) in &module.children {
            let path = match names.get(&index) {
                Some(parent) if index > 0 => format!("{parent}::{name}"),
                _ => name.clone(),
            };
            names.insert(*child, path);
        }
    }
    let mut files = BTreeMap::new();
    for (index, module) in modules.modules.iter().enumerate() {
        if let Some(name) = names.get(&index) {
            files.entry(module.file.as_str()).or_insert_with(|| name.clone());
        }
    }
    files
}

#[cfg(test)]
mod tests;
