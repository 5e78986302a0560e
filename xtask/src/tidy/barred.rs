//! Packages that only the device may depend on: nothing of the harness does, directly or through other crates of the
//! workspace. What is needed for tests only does not count.

use std::collections::BTreeSet;

use super::finding::{Finding, Kind};
use crate::workspace::{Dependency, Member};

/// The directory of the harness, with a crate of its own and others below.
const HARNESS: &str = "harness";
/// The packages for io_uring, landlock and seccomp.
const BARRED: [&str; 3] = ["io-uring", "landlock", "seccompiler"];

pub(crate) fn check(members: &[Member]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in members.iter().filter(|member| is_in_harness(member)) {
        for dependency in needed(member) {
            // Of a crate of the harness it is found at its own.
            let target = named(&dependency.name, members);
            if target.is_some_and(is_in_harness) {
                continue;
            }
            let Some(way) = way(&dependency.name, members, &mut BTreeSet::new()) else {
                continue;
            };
            let message = format!(
                "a crate of the harness depends on a package of the device alone, {} -> {}, take it out",
                member.name,
                way.join(" -> ")
            );
            let file = format!("{}/Cargo.toml", member.folder.display());
            findings.push(Finding::new(&file, dependency.line, Kind::CrateArrow, message));
        }
    }
    findings
}

fn is_in_harness(member: &Member) -> bool {
    member.folder.starts_with(HARNESS)
}

fn named<'a>(name: &str, members: &'a [Member]) -> Option<&'a Member> {
    members.iter().find(|member| member.name == name)
}

/// What a crate depends on, but for its tests.
fn needed(member: &Member) -> impl Iterator<Item = &Dependency> {
    member.dependencies.iter().filter(|dependency| !dependency.is_dev)
}

/// The way from a package to one that is barred, with both ends.
fn way<'a>(name: &'a str, members: &'a [Member], seen: &mut BTreeSet<&'a str>) -> Option<Vec<&'a str>> {
    if BARRED.contains(&name) {
        return Some(vec![name]);
    }
    if !seen.insert(name) {
        return None;
    }
    let rest = needed(named(name, members)?).find_map(|dependency| way(&dependency.name, members, seen))?;
    Some([vec![name], rest].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::Sources;
    use crate::workspace;

    const DEVICE: &str = "[dependencies]\nio-uring = \"1\"\n[target.'cfg(unix)'.dependencies]\nlandlock = \"1\"\n";

    /// What is found in a workspace of `harness`, `harness/run`, `device` and its `api`, with these dependencies.
    fn found(harness: &str, run: &str, device: &str, api: &str) -> Vec<String> {
        let texts = [
            ("harness", harness),
            ("harness/run", run),
            ("device", device),
            ("api", api),
        ]
        .map(|(folder, needs)| {
            let name = folder.rsplit('/').next().unwrap_or(folder);
            (
                format!("{folder}/Cargo.toml"),
                format!("[package]\nname = \"{name}\"\n{needs}"),
            )
        });
        let mut files = vec![(
            "Cargo.toml",
            "[workspace]\nmembers = [\"harness\", \"harness/run\", \"device\", \"api\"]\n",
        )];
        files.extend(texts.iter().map(|(file, text)| (file.as_str(), text.as_str())));
        let sources = Sources::of(&files);
        let members = workspace::members_of(&|file| sources.text(file)).expect("a workspace");
        check(&members).iter().map(ToString::to_string).collect()
    }

    fn expected(file: &str, line: usize, way: &str) -> [String; 1] {
        [format!(
            "{file}/Cargo.toml:{line}: a crate of the harness depends on a package of the device alone, {way}, take it out"
        )]
    }

    #[test]
    fn a_barred_package_is_found() {
        for name in BARRED {
            let needs = format!("[dependencies]\nserde = \"1\"\n{name} = \"1\"\n");
            let way = format!("run -> {name}");
            assert_eq!(found("", &needs, DEVICE, ""), expected("harness/run", 5, &way));
        }
        let renamed = "[dependencies]\nx = { package = \"landlock\", version = \"1\" }\n";
        assert_eq!(
            found(renamed, "", DEVICE, ""),
            expected("harness", 4, "harness -> landlock")
        );
        let build = "[build-dependencies]\nlandlock = \"1\"\n";
        assert_eq!(
            found("", build, DEVICE, ""),
            expected("harness/run", 4, "run -> landlock")
        );
    }

    #[test]
    fn a_barred_package_behind_a_crate_is_found_once() {
        let (device, api) = (
            "[dependencies]\ndevice.path = \"\"\n",
            "[dependencies]\napi.path = \"\"\n",
        );
        let run = "[dependencies]\nrun.path = \"\"\n";
        let way = "run -> device -> io-uring";
        assert_eq!(found(run, device, DEVICE, ""), expected("harness/run", 4, way));
        let seccomp = "[dependencies]\nseccompiler = \"1\"\n";
        let way = "run -> device -> api -> seccompiler";
        assert_eq!(found(run, device, api, seccomp), expected("harness/run", 4, way));
    }

    #[test]
    fn tests_and_the_device_may() {
        let run = "[dependencies]\napi.path = \"\"\n[dev-dependencies]\ndevice.path = \"\"\nlandlock = \"1\"\n";
        assert_eq!(found("", run, DEVICE, ""), [""; 0]);
        // What the tests of a crate need, those who depend on it do not.
        let api = "[dev-dependencies]\nlandlock = \"1\"\n";
        assert_eq!(found("", run, DEVICE, api), [""; 0]);
    }
}
