//! Dependencies between the crates of the workspace, held against the drawing in ARCHITECTURE.md.
//!
//! The block is marked `crates`. A line `name -> name name` is what the `dependencies` and `build-dependencies` of a
//! crate name, a line `dev name -> name` what only its `dev-dependencies` do; every crate of the workspace stands in
//! it.

use std::collections::{BTreeMap, BTreeSet};

use super::drawing::{Drawing, FILE};
use super::finding::{Finding, Kind};
use super::sources::Sources;
use crate::workspace::Member;

pub(crate) fn check(members: &[Member], sources: &Sources) -> Vec<Finding> {
    let Some(drawing) = Drawing::find(sources) else {
        let message = "there is no block ```crates, draw with lines `name -> name name` who depends on whom";
        return vec![Finding::new(FILE, 1, Kind::CrateArrow, message)];
    };
    let known: BTreeSet<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let mut findings = drawing.problems(&known);
    let mut needed: BTreeMap<(String, String), bool> = BTreeMap::new();
    for member in members {
        let file = format!("{}/Cargo.toml", member.folder.display());
        for dependency in &member.dependencies {
            if !known.contains(dependency.name.as_str()) {
                findings.extend(dependency.folder.as_deref().map(|folder| {
                    let message = format!(
                        "{} depends on {}, which cargo takes for a member by its path, add `{folder}` to the members \
                        in Cargo.toml",
                        member.name, dependency.name
                    );
                    Finding::new(&file, dependency.line, Kind::CrateArrow, message)
                }));
                continue;
            }
            let arrow = (member.name.clone(), dependency.name.clone());
            let is_drawn =
                drawing.arrows.contains_key(&arrow) || dependency.is_dev && drawing.dev_arrows.contains_key(&arrow);
            if !is_drawn {
                let dev = if dependency.is_dev { "dev " } else { "" };
                let message = format!(
                    "{} depends on {}, which is not drawn, take it out or draw `{dev}{} -> {}` in {FILE}",
                    arrow.0, arrow.1, arrow.0, arrow.1
                );
                findings.push(Finding::new(&file, dependency.line, Kind::CrateArrow, message));
            }
            *needed.entry(arrow).or_insert(true) &= dependency.is_dev;
        }
    }
    let drawn = drawing.arrows.iter().map(|arrow| (arrow, false));
    for (((from, to), line), is_dev) in drawn.chain(drawing.dev_arrows.iter().map(|arrow| (arrow, true))) {
        // A crate that does not exist was told of already.
        let are_known = known.contains(from.as_str()) && known.contains(to.as_str());
        if are_known && needed.get(&(from.clone(), to.clone())) != Some(&is_dev) {
            let tests = if is_dev { "for its tests only " } else { "" };
            let message = format!("{from} -> {to} is drawn, but {from} does not depend {tests}on {to}, take it out");
            findings.push(Finding::new(FILE, *line, Kind::CrateArrow, message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    #[test]
    fn a_member_by_its_path_alone_is_found() {
        let drawing = (FILE, "# A\n\n```crates\na\n```\n");
        for (root, needs) in [
            ("", "b = { path = \"../x/b\" }"),
            ("", "c = { path = \"../x/b\", package = \"b\" }"),
            (
                "[workspace.dependencies]\nb = { path = \"x/b\" }\n",
                "b.workspace = true",
            ),
        ] {
            let root = format!("[workspace]\nmembers = [\"a\"]\n{root}");
            let a = format!("[package]\nname = \"a\"\n[dependencies]\n{needs}\n");
            let sources = Sources::of(&[drawing, ("Cargo.toml", &root), ("a/Cargo.toml", &a)]);
            let members = workspace::members_of(&|file| sources.text(file)).expect("a workspace");
            let findings = check(&members, &sources);
            let expected = "a/Cargo.toml:4: a depends on b, which cargo takes for a member by its path, \
                add `x/b` to the members in Cargo.toml";
            assert_eq!(findings.len(), 1, "{needs}");
            assert_eq!(findings[0].to_string(), expected, "{needs}");
        }
    }

    /// What is found of a workspace of `a`, which depends on `b`, and `b`, whose tests depend on `c`, with this
    /// drawing.
    fn found(block: &str) -> Vec<String> {
        let drawn = format!("# A\n\n```crates\n{block}```\n");
        let sources = Sources::of(&[
            (FILE, &drawn),
            ("Cargo.toml", "[workspace]\nmembers = [\"a\", \"x/b\", \"c\"]\n"),
            (
                "a/Cargo.toml",
                "[package]\nname = \"a\"\n[dependencies]\nb = { path = \"../x/b\" }\nserde = \"1\"\n",
            ),
            (
                "x/b/Cargo.toml",
                "[package]\nname = \"b\"\n[dev-dependencies]\nc = { path = \"../../c\" }\n",
            ),
            ("c/Cargo.toml", "[package]\nname = \"c\"\n"),
        ]);
        let members = workspace::members_of(&|file| sources.text(file)).expect("a workspace");
        check(&members, &sources).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_dependency_that_is_not_drawn_is_found() {
        let not_drawn =
            "a/Cargo.toml:4: a depends on b, which is not drawn, take it out or draw `a -> b` in ARCHITECTURE.md";
        assert_eq!(found("a\ndev b -> c\n"), [not_drawn]);
        let not_drawn =
            "x/b/Cargo.toml:4: b depends on c, which is not drawn, take it out or draw `dev b -> c` in ARCHITECTURE.md";
        assert_eq!(found("a -> b\nc\n"), [not_drawn]);
        // What tests may, the crate itself may not.
        assert_eq!(found("dev a -> b\ndev b -> c\n").len(), 2);
    }

    #[test]
    fn an_arrow_that_does_not_exist_is_found() {
        let none = "ARCHITECTURE.md:4: a -> c is drawn, but a does not depend on c, take it out";
        assert_eq!(found("a -> b c\ndev b -> c\n"), [none]);
        let tests_only = "ARCHITECTURE.md:5: b -> c is drawn, but b does not depend on c, take it out";
        assert_eq!(found("a -> b\nb -> c\n"), [tests_only]);
    }

    #[test]
    fn a_circle_a_crate_left_out_and_no_drawing_are_found() {
        let circle = found("a -> b\nb -> a\ndev b -> c\n");
        assert!(circle[0].contains("a circle is drawn: a -> b -> a"), "{circle:?}");
        assert_eq!(found("a -> b\n").len(), 2);
        let findings = check(&[], &Sources::of(&[(FILE, "# A\n")]));
        assert!(findings[0].to_string().contains("there is no block ```crates"));
    }

    #[test]
    fn a_true_drawing_is_clean() {
        assert_eq!(found("a -> b\ndev b -> c\n"), [""; 0]);
        assert_eq!(found("a -> b\nb\ndev b -> c\nc\n"), [""; 0]);
    }
}
