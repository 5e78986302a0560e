//! Which cells a run has: kernels × file systems × cases, filtered by what the person asked for.
//!
//! Pure: it reads kernels.toml's content and the case tables, and never builds, fetches or boots.

use guest_wire::Fs;

use crate::cases::{self, Case, EXEC, Profile};
use crate::resolved::{Trial, TrialCase};
use exit::{Exit, Failure};
use host::suggest;
use kernels::Kernel;

/// What a person asked for; empty lists mean everything that is there by default.
#[derive(Debug, Default)]
pub struct CellRequest<'a> {
    /// File systems.
    pub fs: &'a [Fs],
    /// Names of cases, or globs over them.
    pub cases: &'a [String],
    /// Whether a program of the user's own takes the cases' place.
    pub exec: bool,
    /// Largest profile whose cases are run, [`Profile::Default`] without it. A case named in full is run anyway.
    pub profile: Option<Profile>,
}

/// The trials of a run, in order of kernels, file systems and tests.
///
/// # Errors
/// A glob matches no case, or nothing is left of the selection.
pub fn trials(kernels: &[&Kernel], wanted: &CellRequest<'_>) -> Result<Vec<Trial>, Failure> {
    let cases = if wanted.exec { Vec::new() } else { chosen_cases(wanted)? };
    let mut trials = Vec::new();
    for kernel in kernels {
        for &fs in file_systems(kernel, wanted) {
            if wanted.exec {
                trials.push(trial(kernel, fs, EXEC, &[EXEC]));
                continue;
            }
            let mut tests: Vec<&str> = Vec::new();
            let here = || cases.iter().filter(move |case| case.fs.contains(&fs));
            for case in here() {
                if !tests.contains(&case.test()) {
                    tests.push(case.test());
                }
            }
            for test in tests {
                let names: Vec<&str> = here()
                    .filter(|case| case.test() == test)
                    .map(|case| case.name)
                    .collect();
                trials.push(trial(kernel, fs, test, &names));
            }
        }
    }
    if trials.is_empty() {
        return Err(Failure::new(
            Exit::Usage,
            "the selection is empty: no selected case applies to the selected file systems",
        ));
    }
    Ok(trials)
}

fn chosen_cases(wanted: &CellRequest<'_>) -> Result<Vec<&'static Case>, Failure> {
    let profile = wanted.profile.unwrap_or(Profile::Default);
    let all: Vec<&Case> = cases::all().collect();
    if wanted.cases.is_empty() {
        return Ok(all.into_iter().filter(|case| case.profile <= profile).collect());
    }
    let names: Vec<&str> = all.iter().map(|case| case.name).collect();
    let chosen = suggest::select("cases", wanted.cases, &names)?;
    let chosen: Vec<&Case> = chosen.into_iter().filter_map(|index| all.get(index).copied()).collect();
    // A case named in full is wanted whatever its profile; so is a glob's only catch.
    let named = |case: &Case| wanted.cases.iter().any(|pattern| pattern == case.name);
    let inside: Vec<&Case> = chosen
        .iter()
        .copied()
        .filter(|case| case.profile <= profile || named(case))
        .collect();
    Ok(if inside.is_empty() { chosen } else { inside })
}

fn file_systems<'a>(kernel: &'a Kernel, wanted: &CellRequest<'a>) -> &'a [Fs] {
    if wanted.fs.is_empty() { &kernel.fs } else { wanted.fs }
}

fn trial(kernel: &Kernel, fs: Fs, test: &str, names: &[&str]) -> Trial {
    let case = |name: &&str| TrialCase {
        name: (*name).to_owned(),
        expect: kernel.expected(fs, name).map(|entry| entry.expected.clone()),
    };
    Trial {
        kernel: kernel.id.clone(),
        fs,
        test: test.to_owned(),
        cases: names.iter().map(case).collect(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]
mod tests {
    use super::*;
    use kernels::Manifest;

    /// Names of the selected cases on one kernel with btrfs.
    fn names(cases: &[&str], profile: Profile) -> Vec<String> {
        let text = "[[kernel]]\nid = \"k\"\nimage = \"bzImage\"\nfs = [\"btrfs\"]\n";
        let manifest = Manifest::parse(std::path::Path::new("kernels.toml"), text).unwrap();
        let kernels = manifest.select(&["k"]).unwrap();
        let cases: Vec<String> = cases.iter().map(ToString::to_string).collect();
        let wanted = CellRequest {
            fs: &[],
            cases: &cases,
            exec: false,
            profile: Some(profile),
        };
        let trials = trials(&kernels, &wanted).unwrap();
        trials
            .into_iter()
            .flat_map(|trial| trial.cases)
            .map(|case| case.name)
            .collect()
    }

    #[test]
    fn the_full_profile_has_all_that_the_default_one_has_and_more() {
        let (default, full) = (names(&[], Profile::Default), names(&[], Profile::Full));
        assert!(default.iter().all(|name| full.contains(name)));
        assert!(full.len() > default.len());
    }

    #[test]
    fn a_full_name_finds_a_case_outside_the_profile_and_a_glob_does_not() {
        assert_eq!(names(&["partial-write.8m"], Profile::Default), ["partial-write.8m"]);
        let globbed = names(&["partial-write*"], Profile::Default);
        assert!(
            globbed.len() > 1 && !globbed.contains(&"partial-write.8m".to_owned()),
            "{globbed:?}"
        );
        assert!(names(&["partial-write*"], Profile::Full).contains(&"partial-write.8m".to_owned()));
        // Nothing else would be left of it.
        assert_eq!(names(&["partial-write.8[m]"], Profile::Default), ["partial-write.8m"]);
    }
}
