//! Builds the kernels of a range of trees: commits, patches of a series, sets of hunks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::ahead::{Ahead, BuildRequest};
use super::maker::{Maker, Predecessor, unfit};
use super::patches::CommonPatches;
use super::plan::{Pace, median};
use super::repository::Repository;
use super::request::When;
use bisect::search::Price;
use bisect::signature::{Obstacle, Reason};
use exit::Failure;
use host::cache::Cache;
use host::progress::Progress;
use kernels::build::closure::{Closure, is_kconfig};
use kernels::build::folders::{Folders, are_begun};
use kernels::build::said::kconfig_complaint;
use kernels::build::{self, BuildError};
use kernels::source::{Repo, SourceError, Tree};
use kernels::{Artifact, TreeSource, store};

/// Words of a compiler's or linker's line that says what is wrong,
const ERRORS: &[&str] = &["error:", "undefined reference"];
/// and of one that says what it has to do with.
const NOTES: &[&str] = &["note:"];

/// Trees, and how they are built.
pub(crate) struct Trees {
    /// The cache's repository.
    pub(crate) repo: Repo,
    pub(crate) cache: Cache,
    /// What lends its objects, and knows what differs between two trees.
    pub(crate) repository: Repository,
    /// Each item's tree; the reason if there is none.
    pub(crate) trees: Vec<Result<Tree, Reason>>,
    /// What each item is called as a kernel: letters that a path may have.
    pub(crate) ids: Vec<String>,
    /// For each item those that it follows on.
    pub(crate) parents: Vec<Vec<usize>>,
    /// For each commit its own parents, which need not be items; nothing of what are no commits.
    pub(crate) own_parents: Vec<Vec<OwnParent>>,
    /// How they are built.
    pub(crate) source: TreeSource,
    /// What is applied to them first.
    pub(crate) patches: CommonPatches,
    /// For each item how `cargo xtask test` is told to run it,
    pub(crate) again: Vec<String>,
    /// and, where that names the source of this item for all, that the others are it with a patch.
    pub(crate) patched_over: Option<usize>,
    /// Shows what is built.
    pub(crate) progress: Progress,
    /// What is built while guests run, if that is done.
    pub(crate) ahead: Background,
}

/// A commit that another one follows on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnParent {
    pub(crate) commit: String,
    /// Its place in the range, if it is an item.
    pub(crate) item: Option<usize>,
}

/// Kernels that are built before they are wanted.
pub(crate) struct Background {
    is_on: bool,
    running: Option<Ahead>,
    /// Those that were built and not wanted yet.
    built: BTreeSet<usize>,
}

impl Background {
    /// Nothing is built yet.
    #[must_use]
    pub(crate) fn new(when: When) -> Background {
        Background {
            is_on: when.is_now(),
            running: None,
            built: BTreeSet::new(),
        }
    }
}

impl Trees {
    /// Pairs of an item and one that it follows on between which nothing differs that a build of either end reads.
    fn pairs(&self, closures: &[Closure]) -> Result<Vec<(usize, usize)>, Failure> {
        let tree = |item: usize| self.trees[item].as_ref().ok().map(|tree| tree.id.clone());
        let edges: Vec<(usize, usize)> = (0..self.trees.len())
            .flat_map(|item| self.parents[item].iter().map(move |parent| (item, *parent)))
            .collect();
        let known: Vec<(usize, usize, String, String)> = edges
            .into_iter()
            .filter_map(|(item, parent)| Some((item, parent, tree(parent)?, tree(item)?)))
            .collect();
        let trees: Vec<(String, String)> = known
            .iter()
            .map(|(_, _, from, to)| (from.clone(), to.clone()))
            .collect();
        let differences = self.repository.differences(&trees)?;
        let reaches = reaching(closures);
        Ok(known
            .into_iter()
            .zip(differences)
            .filter(|(_, differ)| !differ.iter().any(|(path, only)| reaches(path, *only)))
            .map(|((item, parent, ..), _)| (item, parent))
            .collect())
    }

    /// An item's tree with the patches that it gets; none if it has none or they do not apply.
    fn as_built(&self, item: usize) -> Option<Tree> {
        let tree = self.trees[item].as_ref().ok()?.clone();
        let (patches, _) = self.patches.of_item(item, &self.repository).ok()?;
        patches.apply(&self.repo, &self.cache, tree).ok()
    }

    /// Builds a tree; the inner error says why it does not build.
    ///
    /// # Errors
    /// Something failed that is not the tree's fault.
    pub(crate) fn build(&self, id: &str, tree: &Tree) -> Result<Result<Artifact, Reason>, Failure> {
        let built = build::build(
            &self.cache,
            &self.repo,
            id,
            tree,
            &self.source,
            Folders::OneMore,
            &self.progress,
        );
        match built {
            Ok(artifact) => Ok(Ok(artifact)),
            Err(error) => match Trees::reason(&error) {
                Some(reason) => Ok(Err(reason)),
                None => Err(Failure::from(error)),
            },
        }
    }

    fn reason(error: &BuildError) -> Option<Reason> {
        let first = |said: &str| {
            let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
            let mut lines = lines.skip_while(|line| !line.contains("error"));
            lines
                .next()
                .or_else(|| said.lines().next())
                .unwrap_or_default()
                .to_owned()
        };
        match error {
            BuildError::Make { said, log, .. } => Some(Reason {
                obstacle: Obstacle::Build,
                detail: format!("{} (log: {})", first(said), log.display()),
                files: said
                    .lines()
                    .filter_map(kconfig_complaint)
                    .map(str::to_owned)
                    .chain(named(said, ERRORS))
                    .collect(),
                noted: named(said, NOTES),
            }),
            BuildError::Vanished { vanished, .. } => Some(Reason {
                obstacle: Obstacle::Build,
                detail: format!(
                    "{} options of the fragments do not come out here, {} among them",
                    vanished.len(),
                    vanished.first().map_or("", |lost| &lost.option)
                ),
                files: Vec::new(),
                noted: Vec::new(),
            }),
            BuildError::TooOld { source, .. } => Trees::reason(source),
            // What was built here is nothing to boot; other commits may do.
            error if error.is_unbootable() => Some(unfit(Obstacle::Build, error)),
            // Whatever is wrong with the machine is not the commit's fault.
            _ => None,
        }
    }
}

impl Maker for Trees {
    fn again(&self, item: usize) -> String {
        self.again[item].clone()
    }

    fn patch(&self, item: usize) -> Result<Option<Vec<u8>>, Failure> {
        let (Some(Ok(from)), Some(Ok(to))) = (self.patched_over.map(|over| &self.trees[over]), self.trees.get(item))
        else {
            return Ok(None);
        };
        let patch = self.repo.diff(from, to)?;
        Ok((!patch.is_empty()).then_some(patch))
    }

    fn place(&self, _item: usize) -> PathBuf {
        self.cache.root().join(build::line::FOLDER)
    }

    fn ahead(&mut self, items: &[usize]) {
        // What is under way goes on until something else is wanted.
        if !self.ahead.is_on || self.ahead.running.is_some() {
            return;
        }
        let wanted = items
            .iter()
            .filter(|item| !self.ahead.built.contains(item))
            .filter_map(|item| {
                Some(BuildRequest {
                    item: *item,
                    id: self.ids[*item].clone(),
                    tree: self.trees[*item].as_ref().ok()?.clone(),
                    patches: self.patches.of_item(*item, &self.repository).ok()?.0,
                })
            });
        let wanted: Vec<BuildRequest> = wanted.collect();
        if !wanted.is_empty() {
            self.ahead.running = Some(Ahead::begin(&self.cache, &self.repo, &self.source, wanted));
        }
    }

    fn make(&mut self, item: usize) -> Result<Result<Artifact, Reason>, Failure> {
        if let Some(running) = self.ahead.running.take() {
            let is_it = running.is_at(item);
            let _step = is_it.then(|| {
                self.progress
                    .spinner(format!("{} is being built already", self.ids[item]))
            });
            self.ahead.built.extend(running.end(Some(item)));
        }
        if self.ahead.built.remove(&item) {
            self.progress
                .say(&format!("{} was built while a guest ran", self.ids[item]));
        }
        let tree = match &self.trees[item] {
            Ok(tree) => tree.clone(),
            Err(reason) => return Ok(Err(reason.clone())),
        };
        let (patches, there) = self.patches.of_item(item, &self.repository)?;
        for (title, commit) in there {
            let id = &self.ids[item];
            self.progress
                .say(&format!("{id} has `{title}` as {commit:.12}: the patch is left out"));
        }
        let tree = match patches.apply(&self.repo, &self.cache, tree) {
            Ok(tree) => tree,
            Err(error @ SourceError::Patch { .. }) => return Ok(Err(unfit(Obstacle::Build, &error))),
            Err(error) => return Err(Failure::from(error)),
        };
        self.build(&self.ids[item], &tree)
    }

    fn without(&self, item: usize) -> Result<Option<Tree>, Failure> {
        self.revert(item)
    }

    fn predecessors(&self, item: usize, old: &str) -> Result<Vec<Predecessor>, Failure> {
        self.outside(item, old)
    }

    fn make_of(&mut self, id: &str, tree: &Tree) -> Result<Result<Artifact, Reason>, Failure> {
        // No item is wanted any more.
        self.ahead.running = None;
        self.build(id, tree)
    }

    fn price_of(&self, tree: &Tree) -> Option<Price> {
        let whole = Price {
            nearest: 1.0,
            last: 1.0,
        };
        let price = self.prices_of(std::slice::from_ref(tree)).into_iter().next();
        price.or_else(|| (!are_begun(&self.cache, &self.source)).then_some(whole))
    }

    fn prices(&self, items: &[usize]) -> Vec<Price> {
        // Where there is no tree (a patch does not apply), nothing is built. That is no reason to ask for it first.
        let known: Vec<Option<Tree>> = items.iter().map(|item| self.as_built(*item)).collect();
        let trees: Vec<Tree> = known.iter().flatten().cloned().collect();
        let mut prices = self.prices_of(&trees).into_iter();
        if prices.len() < trees.len() {
            return Vec::new();
        }
        let whole = Price {
            nearest: 1.0,
            last: 1.0,
        };
        let priced = known
            .iter()
            .map(|tree| tree.as_ref().and_then(|_| prices.next()).unwrap_or(whole));
        priced.collect()
    }

    fn same(&self, made: &BTreeMap<usize, Artifact>) -> Result<Vec<(usize, usize)>, Failure> {
        let closures: Vec<Closure> = made.values().filter_map(|artifact| closure(&artifact.dir)).collect();
        if closures.is_empty() {
            return Ok(Vec::new());
        }
        self.pairs(&closures)
    }

    fn foresee(&self) -> Result<Option<Vec<(usize, usize)>>, Failure> {
        // What another configuration reads says nothing.
        let what = build::line::what(&self.source);
        let built = build::line::all(&self.cache)
            .into_iter()
            .filter(|(_, state)| state.what == what)
            .filter_map(|(_, state)| state.built.first().cloned());
        let kept = store::all(&self.cache);
        let closures: Vec<Closure> = built
            .filter_map(|built| kept.iter().find(|kept| kept.hash == built.artifact).cloned())
            .filter_map(|kept| closure(&kept.dir))
            .collect();
        if closures.is_empty() {
            return Ok(None);
        }
        self.pairs(&closures).map(Some)
    }

    fn compiler(&self) -> Result<Option<String>, Failure> {
        Ok(Some(build::toolchain(&self.source)?))
    }

    fn pace(&self) -> Pace {
        let what = build::line::what(&self.source);
        let lines = build::line::all(&self.cache).into_iter().map(|(_, state)| state);
        let (mut whole_ms, mut next_ms) = (Vec::new(), Vec::new());
        for state in lines.filter(|state| state.what == what) {
            for built in &state.built {
                let (Some(took), whole) = (built.took, state.whole.get(&built.config)) else {
                    continue;
                };
                // Nearly everything is as good as everything.
                let is_whole = whole.is_some_and(|whole| took.objects * 10 >= whole * 9);
                if is_whole { &mut whole_ms } else { &mut next_ms }.push(took.ms);
            }
        }
        Pace {
            whole_s: median(whole_ms),
            next_s: median(next_ms),
            ..Pace::default()
        }
    }
}

/// The files that a compiler or linker names on lines with one of these words, relative to the source; a linker may
/// know only a file's own name.
fn named(said: &str, words: &[&str]) -> Vec<String> {
    let mut files: Vec<String> = Vec::new();
    for line in said.lines().filter(|line| words.iter().any(|word| line.contains(word))) {
        for word in line.split([' ', '`', '\'', '(']) {
            let path = word.split(':').next().unwrap_or(word);
            // `/CACHE/builds/LINE/source/fs/open.c`, or relative to the objects.
            let path = path.rsplit_once("/source/").map_or(path, |(_, path)| path);
            let path = path.trim_start_matches("../").trim_start_matches("source/");
            let is_source = [".c", ".h", ".S"].iter().any(|ending| path.ends_with(ending));
            if is_source && !files.iter().any(|known| known == path) {
                files.push(path.to_owned());
            }
        }
    }
    files
}

/// Whether a path that differs reaches a build that read these files; `only_in_one` of the trees is it there.
pub(crate) fn reaching(closures: &[Closure]) -> impl Fn(&str, bool) -> bool {
    let reach: Vec<_> = closures.iter().map(Closure::reach).collect();
    move |path, only_in_one| {
        is_kconfig(path)
            || path.ends_with("defconfig")
            || path.ends_with(".config")
            || reach
                .iter()
                .any(|reach| reach.reads(path) || only_in_one && reach.could_read(path))
    }
}

/// What an artifact's build read.
pub(crate) fn closure(dir: &std::path::Path) -> Option<Closure> {
    let text = std::fs::read_to_string(dir.join("inputs")).ok()?;
    let files = text.lines().filter_map(|line| Some(line.split_once(' ')?.1.to_owned()));
    Some(Closure::from_files(files.collect()))
}

mod prices;
mod revert;
#[cfg(test)]
mod tests;
