//! Arrows between the files of a crate: none may lead in a circle, nor up in the layers that the crate's head draws
//! (see [`layers`]).
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

use std::collections::{BTreeMap, BTreeSet};

use super::circles;
use super::finding::{Finding, Kind};
use super::modules::Crate;
use super::sources::Sources;
use super::targets::Target;
use crate::workspace::Member;

mod layers;
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
        let text = sources.get(&target.root).unwrap_or_default();
        findings.extend(layers::check(text, &target.modules, &arrows));
    }
    findings
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

#[cfg(test)]
mod tests;
