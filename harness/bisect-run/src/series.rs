//! A range of patches: the base, and after it the base with one more patch of the series each.

use std::path::Path;

use guest_wire::Fs;

use super::git::{again, short};
use super::patches::CommonPatches;
use super::plan::Planned;
use super::releases::again_kernel;
use super::repository::Repository;
use super::trees::{Background, Trees};
use crate::request::{Request, SeriesBase, SeriesRange};
use crate::scope;
use bisect::search::Direction;
use bisect::state::Kind;
use exit::{Exit, Failure};
use host::cache::Cache;
use host::places::Places;
use host::progress::Progress;
use host::suggest;
use host::words::quoted;
use kernels::given::tree_kernel;
use kernels::source::{PatchSet, Repo, Tree};
use kernels::{self, GivenTree, Kernel, Manifest, Options, Source, TreeSource};
use run::prepare;

/// The words for the ends of a series.
pub(crate) const BASE: &str = "base";
/// The base with all patches.
pub(crate) const SERIES: &str = "series";
/// What a build costs, in runs.
const BUILD_COST: f64 = 30.0;

/// The range of a series over its base, and who builds it. Also the base as a kernel, for its cells.
///
/// # Errors
/// There is no such base; a patch cannot be read or does not apply.
pub(crate) fn range(
    request: &Request,
    range: &SeriesRange,
    places: &Places,
    manifest_path: &Path,
) -> Result<(Planned, Trees, Kernel), Failure> {
    let direction = direction(range)?;
    check(&range.patches)?;
    let cache = prepare::cache()?;
    let repo = Repo::open(&cache)?;
    let progress = Progress::stderr();
    let options = Options {
        offline: request.options.offline,
        ..Options::default()
    };
    let (kernel, source) = base(&range.base, &request.fs, places, manifest_path)?;
    let lock = prepare::lock_of(manifest_path);
    let (_, base_tree) = kernels::source_tree(&kernel.id, &source, &lock, &cache, &options, &progress)?;
    let States {
        trees,
        names,
        labels,
        notes,
    } = states(range, &base_tree, &repo, &cache)?;
    let parents = Planned::line(names.len());
    let [first, last] = [trees.first(), trees.last()].map(|tree| tree.map_or_else(String::new, |tree| short(&tree.id)));
    let (bad, good) = match direction {
        Direction::Regression => (last, first),
        Direction::Fix => (first, last),
    };
    let planned = Planned {
        kind: Kind::Series,
        bad,
        good,
        scope: scope(range, &trees, &source),
        names: names.clone(),
        labels,
        parents: parents.clone(),
        same: Vec::new(),
        skip: Vec::new(),
        direction,
        terms: Planned::terms(direction),
        build_cost: BUILD_COST,
        notes,
    };
    let again = match &range.base {
        SeriesBase::Tree(given) => again(given, &given.tree, &quoted(&fixed(given))),
        SeriesBase::Kernel(_) => again_kernel(&kernel.id, request.manifest.as_deref()),
    };
    let trees = Trees {
        repository: Repository::of_cache(&cache, base_tree.alternates),
        trees: trees.into_iter().map(Ok).collect(),
        again: vec![again; names.len()],
        ids: names,
        parents,
        own_parents: Vec::new(),
        // They are in the trees already.
        source: TreeSource {
            patches: Vec::new(),
            ..source
        },
        patches: CommonPatches::default(),
        patched_over: Some(0),
        repo,
        cache,
        progress,
        ahead: Background::new(request.options.ahead),
    };
    Ok((planned, trees, kernel))
}

fn check(series: &Path) -> Result<(), Failure> {
    let is_address = ["http:/", "https:/"]
        .iter()
        .any(|scheme| series.to_string_lossy().starts_with(scheme));
    let what = if is_address {
        "it is an address; save the thread as a file (`b4 mbox`, or its t.mbox.gz) and name that"
    } else if !series.exists() {
        "there is no such file; expected a mailbox, a mail, a maildir or a directory of patches"
    } else {
        return Ok(());
    };
    Err(Failure::new(
        Exit::NoInput,
        format!("--series {}: {what}", series.display()),
    ))
}

/// Which end fails.
fn direction(range: &SeriesRange) -> Result<Direction, Failure> {
    let bad = range.bad.as_deref().unwrap_or(SERIES);
    let good = range.good.as_deref().unwrap_or(BASE);
    match (bad, good) {
        (SERIES, BASE) => Ok(Direction::Regression),
        (BASE, SERIES) => Ok(Direction::Fix),
        (bad, good) => Err(Failure::new(
            Exit::Usage,
            format!(
                "--bad {bad} --good {good}: the ends of a series are `{BASE}` and `{SERIES}`; \
                without them the base is good and the series bad"
            ),
        )),
    }
}

/// The base, and after it the base with one more patch each.
struct States {
    trees: Vec<Tree>,
    names: Vec<String>,
    labels: Vec<String>,
    /// What a person should know.
    notes: Vec<String>,
}

/// Applies the patches one after the other.
fn states(range: &SeriesRange, base: &Tree, repo: &Repo, cache: &Cache) -> Result<States, Failure> {
    let set = PatchSet::read(repo, base, std::slice::from_ref(&range.patches))?;
    let mut notes = set.notes.clone();
    notes.extend(set.base_commit.as_deref().and_then(|commit| other_base(range, commit)));
    let ids = match set.states(repo, cache, base) {
        Ok(ids) => ids,
        Err(error) => {
            // They may say why it does not apply.
            let said = error.to_string();
            let notes = notes.iter().filter(|note| !said.contains(*note));
            notes.for_each(|note| host::note!("{note}"));
            return Err(error.into());
        }
    };
    let mut states = States {
        trees: vec![base.clone()],
        names: vec![BASE.to_owned()],
        labels: vec![base.name.clone()],
        notes,
    };
    for (number, (patch, id)) in set.patches.iter().zip(ids).enumerate() {
        // The name of the last one says all that the patches' names would.
        states.trees.push(Tree {
            id,
            name: format!("{} + {} of the series", base.name, number + 1),
            ..base.clone()
        });
        states.names.push(format!("{:04}-{}", number + 1, slug(&patch.title)));
        states.labels.push(patch.title.clone());
    }
    Ok(states)
}

/// The revision of a tree by a name that does not move: HEAD and branches do. What is no repository stays as it is.
fn fixed(given: &GivenTree) -> String {
    let rev = given.rev.as_deref().unwrap_or("HEAD");
    let commit = Repository::open(&given.tree).and_then(|repository| repository.commit("--base", rev));
    commit.unwrap_or_else(|_| rev.to_owned())
}

/// A hint if the series was made for another commit of the tree than the base.
fn other_base(range: &SeriesRange, commit: &str) -> Option<String> {
    let SeriesBase::Tree(given) = &range.base else {
        return None;
    };
    let repository = Repository::open(&given.tree).ok()?;
    let base = repository
        .commit("--base", given.rev.as_deref().unwrap_or("HEAD"))
        .ok()?;
    if base.starts_with(commit) {
        return None;
    }
    let made_for = format!(
        "the series was made for {} (base-commit), and --base is {}",
        short(commit),
        short(&base)
    );
    Some(match repository.commit("base-commit", commit) {
        Ok(id) => format!("{made_for}: --base {} applies it there", short(&id)),
        Err(_) => format!("{made_for}; {} does not have that commit", repository.dir.display()),
    })
}

/// What the range depends on besides its ends: all states, in whatever files their patches lie.
fn scope(range: &SeriesRange, states: &[Tree], source: &TreeSource) -> Vec<String> {
    let patches = std::path::absolute(&range.patches).unwrap_or_else(|_| range.patches.clone());
    let sum = scope::short_sum(states.iter().map(|state| state.id.as_bytes()));
    std::iter::once(format!("{} ({sum})", patches.display()))
        .chain(scope::build(source))
        .collect()
}

/// What the series is applied to: a revision of --tree, or a kernel of kernels.toml that comes as source.
fn base(base: &SeriesBase, fs: &[Fs], places: &Places, manifest_path: &Path) -> Result<(Kernel, TreeSource), Failure> {
    let kernel = match base {
        SeriesBase::Tree(given) => tree_kernel(given, fs, &places.configs())?,
        SeriesBase::Kernel(id) => kernel(&Manifest::load(manifest_path)?, id)?,
    };
    match &kernel.source {
        Source::Tree(source) => {
            let source = (**source).clone();
            Ok((kernel, source))
        }
        _ => Err(Failure::new(
            Exit::Usage,
            format!(
                "--base {}: this kernel is not built from source, so no patch applies to it",
                kernel.id
            ),
        )),
    }
}

fn kernel(manifest: &Manifest, id: &str) -> Result<Kernel, Failure> {
    let mut kernels = manifest.kernels().iter();
    if let Some(kernel) = kernels.find(|kernel| kernel.id == id) {
        return Ok(kernel.clone());
    }
    let built = |kernel: &&Kernel| matches!(kernel.source, Source::Tree(_));
    let built = manifest.kernels().iter().filter(built);
    let ids: Vec<&str> = built.map(|kernel| kernel.id.as_str()).collect();
    Err(Failure::new(
        Exit::Usage,
        format!(
            "--series needs what it is applied to: --base ID of a kernel that comes as source, \
            or --tree DIR [--base REV]; `{id}` is neither; {}",
            suggest::hint(id, "kernels", &ids)
        ),
    ))
}

/// A subject as a name that a path may have.
fn slug(subject: &str) -> String {
    let plain: String = subject
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    let words: Vec<&str> = plain.split('-').filter(|word| !word.is_empty()).collect();
    words
        .join("-")
        .chars()
        .take(40)
        .collect::<String>()
        .trim_end_matches('-')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_is_named_by_its_commit() {
        let dir = tempfile::tempdir().expect("a directory");
        let git = |args: &[&str]| {
            let mut command = std::process::Command::new("git");
            command
                .args(["-c", "user.name=a", "-c", "user.email=a@b", "-C"])
                .arg(dir.path());
            let output = command.args(args).output().expect("git");
            assert!(output.status.success(), "{output:?}");
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        git(&["init", "-q"]);
        git(&["commit", "-q", "--allow-empty", "-m", "one"]);
        let given = |rev: Option<&str>| GivenTree {
            tree: dir.path().to_owned(),
            rev: rev.map(str::to_owned),
            ..GivenTree::default()
        };
        let first = git(&["rev-parse", "HEAD"]);
        assert_eq!(fixed(&given(None)), first);
        assert_eq!(fixed(&given(Some("HEAD"))), first);
        assert_eq!(fixed(&given(Some("nothing"))), "nothing");
    }

    #[test]
    fn a_hunk_that_moves_to_another_patch_makes_another_range() {
        let range = SeriesRange {
            patches: "/thread".into(),
            base: SeriesBase::Kernel("a".to_owned()),
            bad: None,
            good: None,
        };
        let source = TreeSource {
            origin: kernels::Origin::Git {
                repository: String::new(),
                rev: String::new(),
                dirty: false,
            },
            patches: Vec::new(),
            config: Vec::new(),
            cc: None,
            make: std::collections::BTreeMap::new(),
        };
        let of = |ids: [&str; 3]| {
            let tree = |id: &str| Tree {
                id: id.to_owned(),
                name: String::new(),
                alternates: Vec::new(),
            };
            scope(&range, &ids.map(tree), &source)
        };
        let first = of(["base", "one", "both"]);
        assert!(first[0].starts_with("/thread ("), "{first:?}");
        assert_eq!(of(["base", "one", "both"]), first);
        assert_ne!(of(["base", "other", "both"]), first);
    }

    #[test]
    fn a_subject_becomes_a_name_of_a_file() {
        assert_eq!(
            slug("[PATCH v2 3/5] btrfs: don't (ever) fail"),
            "patch-v2-3-5-btrfs-don-t-ever-fail"
        );
        assert_eq!(slug(&"x/".repeat(60)).len(), 39);
        assert_eq!(slug("ü"), "");
    }
}
