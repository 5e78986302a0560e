//! A range of patches: the base, and after it the base with one more patch of the series each.

use std::path::Path;

use super::git::{again_source, short};
use super::plan::Planned;
use super::releases::again_kernel;
use super::repository::Repository;
use super::trees::{Background, Trees};
use crate::request::Request;
use bisect::search::Direction;
use bisect::state::Kind;
use host::error::Failure;
use host::exit::Exit;
use host::places::Places;
use host::progress::Progress;
use host::suggest;
use kernels::given::tree_kernel;
use kernels::source::{self, Repo, Tree};
use kernels::{self, Kernel, Manifest, Options, Source, TreeSource};
use run::prepare;

/// The words for the ends of a series.
pub const BASE: &str = "base";
/// The base with all patches.
pub const SERIES: &str = "series";
/// What a build costs, in runs.
const BUILD_COST: f64 = 30.0;

/// The range of a series over its base, and who builds it. Also the base as a kernel, for its cells.
///
/// # Errors
/// There is no such base; a patch cannot be read or does not apply.
pub fn range(
    args: &Request,
    series: &Path,
    places: &Places,
    manifest_path: &Path,
) -> Result<(Planned, Trees, Kernel), Failure> {
    let direction = match (
        args.bad.as_deref().unwrap_or(SERIES),
        args.good.as_deref().unwrap_or(BASE),
    ) {
        (SERIES, BASE) => Direction::Regression,
        (BASE, SERIES) => Direction::Fix,
        (bad, good) => {
            return Err(Failure::new(
                Exit::Usage,
                format!(
                    "--bad {bad} --good {good}: the ends of a series are `{BASE}` and `{SERIES}`; without them the base is good and the series bad"
                ),
            ));
        }
    };
    let cache = prepare::cache()?;
    let repo = Repo::open(&cache)?;
    let progress = Progress::stderr();
    let options = Options {
        offline: args.offline,
        ..Options::default()
    };
    let (kernel, source) = base(args, places, manifest_path)?;
    let lock = prepare::lock_of(manifest_path);
    let (_, base_tree) = kernels::source_tree(&kernel.id, &source, &lock, &cache, &options, &progress)?;
    let folder = cache.folder("series")?;
    let scratch = tempfile::Builder::new()
        .prefix("decoded-")
        .tempdir_in(&folder)
        .map_err(|error| Failure::cannot_create(&folder.display().to_string(), &error))?;
    let patches = source::each(&[series.to_owned()], scratch.path())?;
    let mut trees = vec![base_tree.clone()];
    let (mut names, mut labels) = (vec![BASE.to_owned()], vec![base_tree.name.clone()]);
    for (number, patch) in patches.iter().enumerate() {
        let before = trees.last().cloned().unwrap_or_else(|| base_tree.clone());
        let tree = source::apply(&repo, &cache, before, std::slice::from_ref(&patch.file))?;
        // The name of the last one says all that the patches' names would.
        trees.push(Tree {
            name: format!("{} + {} of the series", base_tree.name, number + 1),
            ..tree
        });
        names.push(format!("{:04}-{}", number + 1, slug(&patch.subject)));
        labels.push(patch.subject.clone());
    }
    let parents = Planned::line(names.len());
    let of = |tree: Option<&Tree>| tree.map_or_else(String::new, |tree| short(&tree.id));
    let (first, last) = (of(trees.first()), of(trees.last()));
    let (bad, good) = match direction {
        Direction::Regression => (last, first),
        Direction::Fix => (first, last),
    };
    let mut scope = vec![series.display().to_string()];
    scope.extend(args.config.iter().map(|part| format!("--config {part}")));
    scope.extend(args.cc.iter().map(|cc| format!("--cc {cc}")));
    let planned = Planned {
        kind: Kind::Series,
        bad,
        good,
        scope,
        names: names.clone(),
        labels,
        parents: parents.clone(),
        same: Vec::new(),
        skip: Vec::new(),
        direction,
        terms: Planned::terms(direction),
        build_cost: BUILD_COST,
        notes: Vec::new(),
    };
    let again = again_source(args).unwrap_or_else(|| again_kernel(&kernel.id, args.manifest.as_deref()));
    let again = vec![again; names.len()];
    let trees = Trees {
        repository: Repository {
            dir: cache.root().join("sources.git"),
            objects: cache.root().join("sources.git/objects"),
            alternates: base_tree.alternates,
        },
        trees: trees.into_iter().map(Ok).collect(),
        ids: names,
        parents,
        // They are in the trees already.
        source: TreeSource {
            patches: Vec::new(),
            ..source
        },
        again,
        patched_over: Some(0),
        repo,
        cache,
        progress,
        ahead: Background::new(args.ahead),
    };
    Ok((planned, trees, kernel))
}

/// What the series is applied to: a revision of --tree, or a kernel of kernels.toml that comes as source.
fn base(args: &Request, places: &Places, manifest_path: &Path) -> Result<(Kernel, TreeSource), Failure> {
    let kernel = if args.tree.is_some() {
        args.source(Some(args.base.as_deref().unwrap_or("HEAD")))
            .map(|given| tree_kernel(&given, &args.fs, &places.configs()))
            .transpose()?
    } else {
        let manifest = Manifest::load(manifest_path)?;
        let id = args.base.as_deref().unwrap_or_default();
        let found = manifest.kernels().iter().find(|kernel| kernel.id == id).cloned();
        if found.is_none() {
            let built = |kernel: &&Kernel| matches!(kernel.source, Source::Tree(_));
            let ids: Vec<&str> = manifest
                .kernels()
                .iter()
                .filter(built)
                .map(|kernel| kernel.id.as_str())
                .collect();
            return Err(Failure::new(
                Exit::Usage,
                format!(
                    "--series needs what it is applied to: --base ID of a kernel that comes as source, or --tree DIR [--base REV]; `{id}` is neither; {}",
                    suggest::hint(id, "kernels", &ids)
                ),
            ));
        }
        found
    };
    match kernel {
        Some(kernel) => match &kernel.source {
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
        },
        None => Err(Failure::new(Exit::Usage, "--series needs --tree DIR or --base ID")),
    }
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
    fn a_subject_becomes_a_name_of_a_file() {
        assert_eq!(
            slug("[PATCH v2 3/5] btrfs: don't (ever) fail"),
            "patch-v2-3-5-btrfs-don-t-ever-fail"
        );
        assert_eq!(slug(&"x/".repeat(60)).len(), 39);
        assert_eq!(slug("ü"), "");
    }
}
