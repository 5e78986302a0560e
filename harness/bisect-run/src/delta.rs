//! The difference between two trees: the smallest set of hunks of the good end that makes the bad end pass.

mod hunks;
mod judge;
mod told;

use std::collections::BTreeSet;
use std::path::Path;

use super::bench::{Machines, Setting};
use super::cell::Selection;
use super::git::{build_options, short};
use super::plan::Planned;
use super::releases::again_kernel;
use super::repository::Repository;
use super::trees::{Background, Trees, closure, reaching};
use super::{JOURNAL, SNAPSHOTS, open};
use crate::request::Request;
use bisect::delta::{Answer, DeltaError, Subset, Unresolved, minimise};
use bisect::diff::Difference;
use bisect::driver::Bench;
use bisect::search::Direction;
use bisect::signature::Reason;
use bisect::state::Kind;
use host::error::Failure;
use host::exit::Exit;
use host::places::Places;
use host::progress::Progress;
use host::words::counted;
use judge::{Does, Judge};
use kernels::given::tree_kernel;
use kernels::source::{Repo, Tree};
use kernels::{self, Kernel, Manifest, Options, Source, TreeSource};
use run::prepare;
use told::Told;

/// Failures of the bad end before anything else is run.
const CALIBRATION: u32 = 3;
/// Names of the ends in the journal.
const ENDS: [&str; 2] = ["bad", "good"];

/// The two trees, and who builds them. Also the bad end as a kernel, for its cells.
///
/// # Errors
/// There is no such tree.
pub fn range(args: &Request, places: &Places, manifest_path: &Path) -> Result<(Planned, Trees, Kernel), Failure> {
    let (bad, good) = args.ends()?;
    let cache = prepare::cache()?;
    let repo = Repo::open(&cache)?;
    let progress = Progress::stderr();
    let options = Options {
        offline: args.offline,
        ..Options::default()
    };
    let lock = prepare::lock_of(manifest_path);
    let mut ends: Vec<(Kernel, TreeSource, Tree, String)> = Vec::new();
    for (option, end) in [("--bad", bad), ("--good", good)] {
        let kernel = match &args.tree {
            Some(dir) => {
                Repository::open(dir)?.commit(option, end)?;
                let given = args.source(Some(end));
                given
                    .map(|given| tree_kernel(&given, &args.fs, &places.configs()))
                    .transpose()?
            }
            None => {
                let manifest = Manifest::load(manifest_path)?;
                manifest.kernels().iter().find(|kernel| kernel.id == end).cloned()
            }
        };
        let source = kernel.as_ref().and_then(|kernel| match &kernel.source {
            Source::Tree(source) => Some((**source).clone()),
            _ => None,
        });
        let (Some(kernel), Some(source)) = (kernel, source) else {
            return Err(Failure::new(
                Exit::Usage,
                format!(
                    "{option} {end}: --delta compares source: kernels of kernels.toml that come as source, or revisions of --tree"
                ),
            ));
        };
        let (_, tree) = kernels::source_tree(&kernel.id, &source, &lock, &cache, &options, &progress)?;
        let again = match &args.tree {
            Some(dir) => {
                let dir = host::words::quoted(&dir.to_string_lossy());
                std::iter::once(format!("--tree {dir} --rev {end}"))
                    .chain(build_options(args))
                    .collect::<Vec<_>>()
                    .join(" ")
            }
            None => again_kernel(&kernel.id, args.manifest.as_deref()),
        };
        ends.push((kernel, source, tree, again));
    }
    let trees: Vec<Tree> = ends.iter().map(|end| end.2.clone()).collect();
    if trees[0].id == trees[1].id {
        return Err(Failure::new(
            Exit::Usage,
            format!("--bad {bad} and --good {good} hold the same source: there is no difference to bisect"),
        ));
    }
    let planned = Planned {
        kind: Kind::Delta,
        bad: trees[0].id.clone(),
        good: trees[1].id.clone(),
        scope: args.config.iter().chain(&args.paths).cloned().collect(),
        names: ENDS.map(str::to_owned).to_vec(),
        labels: trees.iter().map(|tree| tree.name.clone()).collect(),
        parents: Planned::line(2),
        same: Vec::new(),
        skip: Vec::new(),
        direction: Direction::Fix,
        terms: Planned::terms(Direction::Fix),
        build_cost: 1.0,
        notes: Vec::new(),
    };
    let alternates: BTreeSet<_> = trees.iter().flat_map(|tree| tree.alternates.clone()).collect();
    let alternates: Vec<_> = alternates.into_iter().collect();
    let (kernel, source, ..) = ends[0].clone();
    let trees = Trees {
        repository: Repository {
            dir: cache.root().join("sources.git"),
            objects: cache.root().join("sources.git/objects"),
            alternates: alternates.clone(),
        },
        trees: trees
            .into_iter()
            .map(|tree| {
                Ok(Tree {
                    alternates: alternates.clone(),
                    ..tree
                })
            })
            .collect(),
        ids: vec![
            format!("delta-{}", short(&planned.bad)),
            format!("delta-{}", short(&planned.good)),
        ],
        parents: planned.parents.clone(),
        // They are in the trees already.
        source: TreeSource {
            patches: Vec::new(),
            ..source
        },
        again: ends.into_iter().map(|end| end.3).collect(),
        patched_over: None,
        repo,
        cache,
        progress,
        ahead: Background::new(args.ahead),
    };
    Ok((planned, trees, kernel))
}

/// Passes that a tree needs before it counts as one that does not fail, after so many failures of so many runs of the
/// bad end.
fn passes_needed(failed: u32, runs: u32, error: f64) -> u32 {
    let rate = (f64::from(failed) + 0.5) / (f64::from(runs) + 1.0);
    // A sliver of the error for each set that is asked about: their number grows with the logarithm of the hunks.
    let each = error / 30.0;
    let needed = each.ln() / (1.0 - rate).ln();
    needed.ceil().clamp(1.0, 1000.0) as u32
}

/// Runs the whole of it.
///
/// # Errors
/// It broke off, or the ends are not what they must be.
#[allow(clippy::too_many_arguments)]
pub fn run(
    args: &Request,
    planned: &Planned,
    bench: &mut Machines<'_, Trees>,
    selection: &Selection,
    setting: &Setting,
    dir: &Path,
    header: impl Fn(&str, guest_wire::Fs) -> bisect::state::Header,
) -> Result<Exit, Failure> {
    let Some(trial) = selection.choose(bench, 0, dir, setting.seed)? else {
        return Ok(Exit::NoAnswer);
    };
    let header = header(&trial.cases[0].name, trial.fs);
    bench.look_at(trial);
    let (journal, notices) = open(&dir.join(JOURNAL), &header)?;
    for notice in notices {
        bench.say(&notice);
    }
    let ends: Vec<Tree> = bench.maker.trees.iter().filter_map(|tree| tree.clone().ok()).collect();
    let [bad, good] = ends.as_slice() else {
        return Err(Failure::new(Exit::Internal, "a difference has two ends"));
    };
    let mut judge = Judge {
        bench,
        journal,
        dir,
        passes: args.patience,
    };
    let told = |text: String| {
        anstream::println!("\n{text}\nevidence: {}", dir.join("runs").display());
        Ok(Exit::NoAnswer)
    };
    match judge.judge(ENDS[0], bad, CALIBRATION)? {
        Does::Fail => {}
        Does::Pass => {
            return told(format!(
                "the bad end passes: {} did not fail in {} runs",
                planned.labels[0], args.patience
            ));
        }
        Does::Nothing(reason) => return told(format!("the bad end cannot be tested: {reason}")),
    }
    let artifact = judge
        .journal
        .state()
        .builds
        .get(ENDS[0])
        .map(|build| build.artifact.clone())
        .unwrap_or_default();
    let (failed, passed, _) = judge.tally(&artifact);
    judge.passes = passes_needed(failed, failed + passed, args.error);
    match judge.judge(ENDS[1], good, 1)? {
        Does::Pass => {}
        Does::Fail => {
            return told(format!(
                "both ends fail: {} fails just like {}",
                planned.labels[1], planned.labels[0]
            ));
        }
        Does::Nothing(reason) => return told(format!("the good end cannot be tested: {reason}")),
    }
    let (difference, files) = compare(judge.bench, bad, good, &args.paths)?;
    judge.bench.say(&format!(
        "{} differ; what reaches the build of them comes to {}",
        counted(files, "file"),
        counted(difference.len(), "hunk")
    ));
    let likely = likely(&difference, header.fs.as_str());
    let minimal = minimise(&difference.units().likely(likely), [], |subset| {
        let tree = judge.bench.maker.with(bad, &difference, subset)?;
        let name = short(&tree.id);
        judge
            .bench
            .say(&format!("{} on the bad end: {name}", counted(subset.len(), "hunk")));
        Ok::<Answer, Failure>(match judge.judge(&name, &tree, 1)? {
            Does::Pass => Answer::Flips,
            Does::Fail => Answer::DoesNotFlip,
            Does::Nothing(reason) => Answer::Unresolved(Unresolved {
                obstacle: reason.obstacle,
                blamed: blamed(&difference, subset, &reason),
            }),
        })
    });
    let minimal = match minimal {
        Ok(minimal) => minimal,
        Err(DeltaError::Oracle(failure)) => return Err(failure),
        Err(error) => {
            return told(format!(
                "{error}; hunks outside the given paths, or outside what the build reads, are needed, too"
            ));
        }
    };
    let told = Told {
        planned,
        difference: &difference,
        minimal: &minimal,
        bad,
        cell: &format!("{} on {}", header.case, header.fs),
        setting,
        dir,
        error: args.error,
    };
    told.tell(&mut judge)?;
    let _ = std::fs::remove_dir_all(dir.join(SNAPSHOTS));
    Ok(Exit::Success)
}

/// Units that are likely to suffice: those of the file system that the case runs on.
fn likely(difference: &Difference, fs: &str) -> Subset {
    let top = format!("fs/{fs}/");
    (0..difference.len())
        .filter(|unit| difference.paths(*unit).all(|path| path.starts_with(&top)))
        .collect()
}

/// Units of a set that need some that are not in it: those in the files that did not compile, else in those that the
/// compiler points to besides. So a header that declares a function anew needs the file that still has its own
/// declaration of it.
fn blamed(difference: &Difference, subset: &Subset, reason: &Reason) -> Vec<usize> {
    let of = |files: &[String]| -> Vec<usize> {
        let is_one = |unit: &usize| {
            let mut paths = difference.paths(*unit);
            paths.any(|path| files.iter().any(|file| names(file, path)))
        };
        subset.iter().copied().filter(is_one).collect()
    };
    let in_error = of(&reason.files);
    if in_error.is_empty() {
        of(&reason.noted)
    } else {
        in_error
    }
}

/// Whether what a compiler or linker names is this path; a linker may know only a file's own name.
fn names(file: &str, path: &str) -> bool {
    path.strip_suffix(file)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}

/// What differs between the ends and reaches the build, and how many files differ at all.
fn compare(
    bench: &Machines<'_, Trees>,
    bad: &Tree,
    good: &Tree,
    paths: &[String],
) -> Result<(Difference, usize), Failure> {
    let trees = &bench.maker;
    let pair = (bad.id.clone(), good.id.clone());
    let differ = trees.repository.differences(&[pair])?.pop().unwrap_or_default();
    let asked = |path: &str| {
        paths.is_empty()
            || paths.iter().any(|top| {
                path == top
                    || path
                        .strip_prefix(top.trim_end_matches('/'))
                        .is_some_and(|rest| rest.starts_with('/'))
            })
    };
    let closures: Vec<_> = [bad, good]
        .iter()
        .filter_map(|end| bench.maker.build(&format!("delta-{}", short(&end.id)), end).ok()?.ok())
        .filter_map(|artifact| closure(&artifact.dir))
        .collect();
    let reach = reaching(&closures);
    let wanted: Vec<String> = differ
        .iter()
        .filter(|(path, only)| asked(path) && reach(path, *only))
        .map(|(path, _)| path.clone())
        .collect();
    let (old, new) = (trees.files(bad, &wanted)?, trees.files(good, &wanted)?);
    let difference = Difference::between(old, new).map_err(|error| Failure::of(Exit::Data, &error))?;
    Ok((difference, differ.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rarer_failure_takes_more_passes() {
        let always = passes_needed(3, 3, 0.01);
        let sometimes = passes_needed(3, 10, 0.01);
        assert!((2..=6).contains(&always), "{always}");
        assert!(sometimes > 3 * always, "{sometimes}");
        // (1 - rate)^passes is below the error, with room for all the sets.
        assert!((1.0 - 3.5 / 11.0_f64).powi(i32::try_from(sometimes).expect("few")) < 0.001);
    }
}
