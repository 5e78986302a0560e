//! The layers of a crate, held against the arrows between its files.
//!
//! They are drawn in the `//!` head of the file at the crate's root, in a block marked `layers`: names of its
//! top-level modules from the ground up, a layer a line. A module may name those of the lines before its own, and none
//! of its own line. The root itself is above all of them. A crate of many modules must have the block.
//!
//! A top-level module stands for all that is below it. One that is written out within the root file is the root's, and
//! one that is compiled for tests only is none.

use std::collections::BTreeMap;

use super::resolve::Arrows;
use crate::tidy::finding::{Finding, Kind};
use crate::tidy::modules::Crate;

/// Top-level modules that a crate may have without a drawing.
const MODULES_MAX: usize = 6;
/// The fence that begins a drawing.
const FENCE: &str = "```layers";

/// A drawing: the names, each with its line in the file, which is also its layer.
struct Layers {
    /// Line of the fence.
    line: usize,
    names: Vec<(String, usize)>,
}

impl Layers {
    fn find(text: &str) -> Option<Layers> {
        let numbered = text.lines().zip(1..);
        let mut head = numbered.filter_map(|(line, number)| Some((line.strip_prefix("//!")?.trim(), number)));
        let (_, line) = head.find(|(line, _)| *line == FENCE)?;
        let inside = head.take_while(|(line, _)| !line.starts_with("```"));
        let names =
            inside.flat_map(|(line, number)| line.split_whitespace().map(move |name| (name.to_owned(), number)));
        Some(Layers {
            line,
            names: names.collect(),
        })
    }

    fn layer(&self, name: &str) -> Option<usize> {
        let (_, line) = self.names.iter().find(|(other, _)| other == name)?;
        Some(*line)
    }
}

/// Holds the arrows of the crate whose root has this text against its layers.
pub(super) fn check(text: &str, modules: &Crate, arrows: &Arrows) -> Vec<Finding> {
    let Some(root) = modules.modules.first() else {
        return Vec::new();
    };
    let of_files = of_files(modules);
    let tops = of_files.values().filter_map(|top| *top);
    let mut first: BTreeMap<&str, usize> = tops.map(|top| (top, 0)).collect();
    let finding = |line: usize, message: String| Finding::new(&root.file, line, Kind::Layer, message);
    let Some(layers) = Layers::find(text) else {
        let count = first.len();
        let message = format!(
            "{count} modules and no block {FENCE} in the head, draw them there from the ground up, a layer a line"
        );
        return (count > MODULES_MAX).then(|| finding(1, message)).into_iter().collect();
    };
    let mut findings = Vec::new();
    for (name, line) in &layers.names {
        match first.get_mut(name.as_str()) {
            None => findings.push(finding(
                *line,
                format!("`{name}` is drawn but is no module, take it out"),
            )),
            Some(0) => {
                first.insert(name, *line);
            }
            Some(before) => {
                let message = format!("`{name}` is drawn here and in line {before}, take one out");
                findings.push(finding(*line, message));
            }
        }
    }
    let left_out = first.iter().filter(|(_, line)| **line == 0);
    findings.extend(left_out.map(|(name, _)| finding(layers.line, format!("`{name}` is not drawn, add it"))));
    findings.extend(upward(&layers, &of_files, arrows));
    findings
}

/// Arrows that lead up, or to a module of the same layer.
fn upward(layers: &Layers, of_files: &BTreeMap<&str, Option<&str>>, arrows: &Arrows) -> Vec<Finding> {
    let top = |file: &str| of_files.get(file).copied().flatten();
    let problem = |((from, to), seen): (&(String, String), &super::resolve::Seen)| {
        let name = top(from)?;
        let what = match top(to) {
            None => "the crate's root, which is above it".to_owned(),
            Some(other) if other == name => return None,
            Some(other) => {
                let (own, others) = (layers.layer(name)?, layers.layer(other)?);
                match others.cmp(&own) {
                    std::cmp::Ordering::Less => return None,
                    std::cmp::Ordering::Equal => format!("`{other}`, which is drawn in the same layer"),
                    std::cmp::Ordering::Greater => format!("`{other}`, which is drawn above it"),
                }
            }
        };
        let message = format!(
            "it names {}: `{name}` knows {what}, turn the arrow or draw it otherwise",
            seen.path
        );
        Some(Finding::new(from, seen.line, Kind::Layer, message))
    };
    arrows.iter().filter_map(problem).collect()
}

/// The top-level module that each file belongs to; none if it is the root's.
fn of_files(modules: &Crate) -> BTreeMap<&str, Option<&str>> {
    let Some(root) = modules.modules.first() else {
        return BTreeMap::new();
    };
    let is_apart = |index: usize| modules.modules.get(index).is_some_and(|top| top.file != root.file);
    let tops: BTreeMap<usize, &str> = root
        .children
        .iter()
        .filter(|(_, index)| is_apart(**index))
        .map(|(name, index)| (*index, name.as_str()))
        .collect();
    let mut files = BTreeMap::new();
    for (index, module) in modules.modules.iter().enumerate() {
        let mut way = std::iter::once(index).chain(modules.above(index));
        let top = way.find_map(|index| tops.get(&index).copied());
        files.entry(module.file.as_str()).or_insert(top);
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::arrows::resolve::arrows_of;
    use crate::tidy::{Sources, modules};

    /// What is found in a crate whose `b` names `a`, and `c` both, with this head.
    fn found(head: &str, files: &[(&str, &str)]) -> Vec<String> {
        let lib = format!("//! A crate.\n{head}\nmod a; mod b; mod c; pub use a::A;\n#[cfg(test)] mod tests;\n");
        let usual = [
            ("src/a.rs", "pub struct A;"),
            ("src/b.rs", "pub mod d;"),
            ("src/b/d.rs", "pub fn d(_: crate::A) {}"),
            ("src/c.rs", "fn c() { crate::b::d::d(crate::a::A) }"),
            ("src/tests.rs", "use crate::c;"),
        ];
        let mut all = vec![("src/lib.rs", lib.as_str())];
        all.extend(files);
        all.extend(
            usual
                .iter()
                .filter(|(name, _)| files.iter().all(|(other, _)| other != name)),
        );
        let sources = Sources::of(&all);
        let parsed = modules::parse(&sources, &mut Vec::new());
        let modules = Crate::of("src/lib.rs", &sources, &parsed);
        let findings = check(&lib, &modules, &arrows_of(&modules));
        findings.iter().map(ToString::to_string).collect()
    }

    fn drawn(layers: &[&str]) -> String {
        let lines: Vec<String> = layers.iter().map(|layer| format!("//! {layer}\n")).collect();
        format!("//!\n//! ```layers\n{}//! ```\n//!\n//! more", lines.concat())
    }

    #[test]
    fn an_arrow_up_is_found() {
        let up = "src/b/d.rs:1: it names crate::A: `b` knows `a`, which is drawn above it, \
            turn the arrow or draw it otherwise";
        assert_eq!(found(&drawn(&["b", "a", "c"]), &[]), [up]);
        let level = "src/b/d.rs:1: it names crate::A: `b` knows `a`, which is drawn in the same layer, \
            turn the arrow or draw it otherwise";
        assert_eq!(found(&drawn(&["a b", "c"]), &[]), [level]);
        let root = "src/a.rs:1: it names crate::Error: `a` knows the crate's root, which is above it, \
            turn the arrow or draw it otherwise";
        let names_root = ("src/a.rs", "pub struct A(crate::Error);");
        assert_eq!(found(&drawn(&["a", "b", "c"]), &[names_root]), [root]);
    }

    #[test]
    fn names_that_are_missing_or_too_many_are_found() {
        let left_out = "src/lib.rs:3: `c` is not drawn, add it";
        assert_eq!(found(&drawn(&["a", "b"]), &[]), [left_out]);
        let unknown = "src/lib.rs:5: `x` is drawn but is no module, take it out";
        assert_eq!(found(&drawn(&["a", "b x", "c"]), &[]), [unknown]);
        let tests = "src/lib.rs:7: `tests` is drawn but is no module, take it out";
        assert_eq!(found(&drawn(&["a", "b", "c", "tests"]), &[]), [tests]);
        let twice = "src/lib.rs:6: `a` is drawn here and in line 4, take one out";
        assert_eq!(found(&drawn(&["a", "b", "a c"]), &[]), [twice]);
    }

    #[test]
    fn a_large_crate_without_layers_is_found() {
        let many = "//! and more\nmod d; mod e; mod f; mod g;";
        let files = ["d", "e", "f", "g"].map(|name| format!("src/{name}.rs"));
        let files: Vec<(&str, &str)> = files.iter().map(|file| (file.as_str(), "")).collect();
        let expected = "src/lib.rs:1: 7 modules and no block ```layers in the head, \
            draw them there from the ground up, a layer a line";
        assert_eq!(found(many, &files), [expected]);
        let fewer = "//! and more\nmod d; mod e; mod f; mod inline { mod deep {} }";
        assert_eq!(found(fewer, &files), [""; 0]);
    }

    #[test]
    fn true_layers_are_clean() {
        assert_eq!(found(&drawn(&["a", "b", "c"]), &[]), [""; 0]);
        assert_eq!(found(&drawn(&["a", "", "b", "c"]), &[]), [""; 0]);
        let apart = ("src/b/d.rs", "pub fn d() {}");
        assert_eq!(found(&drawn(&["a b", "c"]), &[apart]), [""; 0]);
    }
}
