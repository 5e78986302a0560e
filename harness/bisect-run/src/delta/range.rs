//! The two trees of a difference, and who builds them.

use std::collections::BTreeSet;
use std::path::Path;

use crate::git::{build_options, short};
use crate::patches::CommonPatches;
use crate::plan::Planned;
use crate::releases::again_kernel;
use crate::repository::Repository;
use crate::request::{DeltaRange, Request};
use crate::scope;
use crate::trees::{Background, Trees};
use bisect::search::Direction;
use bisect::state::Kind;
use exit::{Exit, Failure};
use host::cache::Cache;
use host::places::Places;
use host::progress::Progress;
use host::words::quoted;
use kernels::given::tree_kernel;
use kernels::source::{Repo, Tree};
use kernels::{self, GivenTree, Kernel, Manifest, Options, Source, TreeSource};
use run::prepare;

/// Names of the ends in the journal.
pub(super) const ENDS: [&str; 2] = ["bad", "good"];

/// One end of the difference.
struct End {
    kernel: Kernel,
    source: TreeSource,
    tree: Tree,
    /// How `cargo xtask test` is told to run it.
    again: String,
}

/// The two trees, and who builds them. Also the bad end as a kernel, for its cells.
///
/// # Errors
/// There is no such tree.
pub(crate) fn range(
    request: &Request,
    range: &DeltaRange,
    places: &Places,
    manifest_path: &Path,
) -> Result<(Planned, Trees, Kernel), Failure> {
    let (bad_id, good_id) = (range.ends.bad.as_str(), range.ends.good.as_str());
    let cache = prepare::cache()?;
    let repo = Repo::open(&cache)?;
    let progress = Progress::stderr();
    let end = |option: &str, id: &str| end(request, range, places, manifest_path, (&cache, &progress), (option, id));
    let (bad, good) = (end("--bad", bad_id)?, end("--good", good_id)?);
    if bad.tree.id == good.tree.id {
        return Err(Failure::new(
            Exit::Usage,
            format!("--bad {bad_id} and --good {good_id} hold the same source: there is no difference to bisect"),
        ));
    }
    let planned = Planned {
        kind: Kind::Delta,
        bad: bad.tree.id.clone(),
        good: good.tree.id.clone(),
        scope: scope::build(&bad.source)
            .into_iter()
            .chain(range.paths.iter().cloned())
            .collect(),
        names: ENDS.map(str::to_owned).to_vec(),
        labels: vec![bad.tree.name.clone(), good.tree.name.clone()],
        parents: Planned::line(2),
        same: Vec::new(),
        skip: Vec::new(),
        direction: Direction::Fix,
        terms: Planned::terms(Direction::Fix),
        build_cost: 1.0,
        notes: Vec::new(),
    };
    let kernel = bad.kernel.clone();
    let both = [&bad, &good].map(|end| end.tree.alternates.clone()).concat();
    let alternates: Vec<_> = both.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    let with_all = |tree: Tree| {
        Ok(Tree {
            alternates: alternates.clone(),
            ..tree
        })
    };
    let trees = Trees {
        repository: Repository::of_cache(&cache, alternates.clone()),
        ids: [&bad, &good]
            .map(|end| format!("delta-{}", short(&end.tree.id)))
            .to_vec(),
        trees: vec![with_all(bad.tree), with_all(good.tree)],
        parents: planned.parents.clone(),
        own_parents: Vec::new(),
        // They are in the trees already.
        source: TreeSource {
            patches: Vec::new(),
            ..bad.source
        },
        patches: CommonPatches::default(),
        again: vec![bad.again, good.again],
        patched_over: None,
        repo,
        cache: cache.clone(),
        progress: progress.clone(),
        ahead: Background::new(request.options.ahead),
    };
    Ok((planned, trees, kernel))
}

/// One end: a revision of the tree, or a kernel of kernels.toml that comes as source.
fn end(
    request: &Request,
    range: &DeltaRange,
    places: &Places,
    manifest_path: &Path,
    (cache, progress): (&Cache, &Progress),
    (option, id): (&str, &str),
) -> Result<End, Failure> {
    let kernel = match &range.tree {
        Some(given) => {
            Repository::open(&given.tree)?.commit(option, id)?;
            let given = GivenTree {
                rev: Some(id.to_owned()),
                ..given.clone()
            };
            Some(tree_kernel(&given, &request.fs, &places.configs())?)
        }
        None => {
            let manifest = Manifest::load(manifest_path)?;
            manifest.kernels().iter().find(|kernel| kernel.id == id).cloned()
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
                "{option} {id}: --delta compares source: kernels of kernels.toml that come as source, \
                or revisions of --tree"
            ),
        ));
    };
    let options = Options {
        offline: request.options.offline,
        ..Options::default()
    };
    let lock = prepare::lock_of(manifest_path);
    let (_, tree) = kernels::source_tree(&kernel.id, &source, &lock, cache, &options, progress)?;
    let again = match &range.tree {
        Some(given) => {
            let dir = quoted(&given.tree.to_string_lossy());
            std::iter::once(format!("--tree {dir} --rev {id}"))
                .chain(build_options(given))
                .collect::<Vec<_>>()
                .join(" ")
        }
        None => again_kernel(&kernel.id, request.manifest.as_deref()),
    };
    Ok(End {
        kernel,
        source,
        tree,
        again,
    })
}
