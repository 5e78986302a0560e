//! What was built, into the store and back: an artifact of an earlier build that read just the same is taken for this
//! one.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::super::source::{Listing, Repo, SourceError};
use super::super::store::{self, Artifact, Description, MadeOf, hex};
use super::super::unpack;
use super::closure::{Closure, ClosureError};
use super::config::{Options, has_modules};
use super::error::BuildError;
use super::external::Named;
use super::job::{Job, write};
use super::line::{Built, Line, Memory, Took};
use super::make::{self, Make};
use super::uses::Uses;
use host::cache::{Cache, CacheError};
use host::progress::Progress;

/// What a build made.
pub(super) struct Made {
    started: Instant,
    objects: u64,
    /// Whether there was nothing before.
    is_whole: bool,
}

impl Made {
    pub(super) fn new(started: Instant, objects: u64, is_whole: bool) -> Made {
        Made {
            started,
            objects,
            is_whole,
        }
    }
}

impl Job<'_> {
    /// The artifact of an earlier build of this tree, or of one that read just what this one would; the latter is said.
    pub(super) fn known(
        &self,
        cache: &Cache,
        repo: &Repo,
        memory: &Memory,
        config: &str,
        progress: &Progress,
    ) -> Option<Artifact> {
        let with = self.with();
        let alike: Vec<&Built> = memory
            .state()
            .built
            .iter()
            .filter(|built| built.config == config && built.with == with)
            .collect();
        let mut same = alike.iter().filter(|built| built.tree == self.tree.id);
        if let Some(artifact) = same.find_map(|built| store::get(cache, self.id, &built.artifact)) {
            return Some(artifact);
        }
        let mut tried: HashSet<&str> = HashSet::new();
        for built in alike.iter().filter(|built| built.tree != self.tree.id) {
            if !tried.insert(&built.closure) {
                continue;
            }
            let Some(closure) = memory.closure(&built.closure) else {
                continue;
            };
            // A tree of a repository that is gone tells nothing any more.
            let Ok(before) = repo.listing(&built.tree()) else {
                continue;
            };
            let paths = before.keys().cloned().collect();
            let Some(sum) = closure.sum(&self.all, &paths) else {
                continue;
            };
            let name = self.name(config, &built.closure, &sum);
            let Some(artifact) = store::get(cache, self.id, &name) else {
                continue;
            };
            // What read the same need not be what was built last.
            let of = alike.iter().find(|other| other.artifact == name).unwrap_or(built);
            let differ = match repo.listing(&of.tree()).map_or(0, |before| self.differ(&before)) {
                1 => "1 file differs".to_owned(),
                count => format!("{count} files differ"),
            };
            progress.say(&format!(
                "{}: nothing to build: {differ} between {} and {}, and a build reads none of them that decides what \
                comes out",
                self.id, of.name, self.tree.name
            ));
            return Some(artifact);
        }
        None
    }

    /// How many files are not as they were, or not there in one of the two.
    fn differ(&self, before: &Listing) -> usize {
        let other = self.all.iter().filter(|(path, id)| before.get(*path) != Some(id));
        let gone = before.keys().filter(|path| !self.all.contains_key(*path));
        other.count() + gone.count()
    }

    /// An artifact's name.
    fn name(&self, config: &str, closure: &str, sum: &str) -> String {
        store::hash(&["built", &self.with(), config, closure, sum])
    }

    /// Puts what was made into the store, and remembers how.
    pub(super) fn keep(
        &self,
        cache: &Cache,
        line: &mut Line,
        make: &Make<'_>,
        config: &str,
        took: &Made,
    ) -> Result<Artifact, BuildError> {
        let cannot_read = |source| CacheError::io("read", make.objects, source);
        let text = fs::read_to_string(make.objects.join(".config")).map_err(cannot_read)?;
        let named = Named::by(&Options::parse(&text), make.source).of(&self.all);
        let closure = &Closure::of_build(make.objects, make.source, &self.all)
            .map_err(|error| match error {
                ClosureError::Io(source) => BuildError::from(cannot_read(source)),
                ClosureError::Outside { link, target } => SourceError::Outside {
                    link: link.into(),
                    target,
                }
                .into(),
            })?
            .and(named);
        line.keep_uses(&Uses::of_build(make.objects, make.source).map_err(cannot_read)?)?;
        let mut list = Sha256::new();
        for path in closure.files() {
            list.update(path);
            list.update([b'\n']);
        }
        let list = hex(&list.finalize())[..40].to_owned();
        let paths: HashSet<String> = self.all.keys().cloned().collect();
        let sum = closure.sum(&self.all, &paths).unwrap_or_default();
        let name = self.name(config, &list, &sum);
        let artifact = store::get_or_make(cache, self.id, &name, || {}, |made| self.fill(make, closure, made))?;
        let &Made {
            started,
            objects,
            is_whole,
        } = took;
        let whole = is_whole.then_some(objects);
        let built = Built {
            tree: self.tree.id.clone(),
            given: (self.given.id != self.tree.id).then(|| self.given.id.clone()),
            alternates: self.tree.alternates.clone(),
            name: self.tree.name.clone(),
            config: config.to_owned(),
            with: self.with(),
            closure: list,
            artifact: name,
            took: Some(Took {
                ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                objects,
            }),
        };
        line.remember(built, closure, whole)?;
        Ok(artifact)
    }

    fn fill(&self, make: &Make<'_>, closure: &Closure, made: &Path) -> Result<Description, BuildError> {
        let image = make.objects.join("arch/x86/boot/bzImage");
        let staged = made.join("staged");
        if has_modules(make.objects) {
            let mut variables = make.variables.clone();
            variables.insert("INSTALL_MOD_PATH".to_owned(), staged.display().to_string());
            variables.insert("INSTALL_MOD_STRIP".to_owned(), "1".to_owned());
            Make { variables, ..*make }.run(&["modules_install"], make::jobs(), None)?;
        }
        let mut description = unpack::built(
            &image,
            Some(&staged).filter(|staged| staged.is_dir()).map(PathBuf::as_path),
            made,
        )?;
        let copy = |from: &str, to: &str| {
            let to = made.join(to);
            fs::copy(make.objects.join(from), &to)
                .map(drop)
                .map_err(|source| CacheError::io("write", &to, source))
        };
        copy(".config", "config")?;
        let config = fs::read_to_string(make.objects.join(".config")).unwrap_or_default();
        if Options::parse(&config).get("DEBUG_INFO") == "y" {
            copy("vmlinux", "vmlinux.debug")?;
        }
        let inputs: String = closure
            .files()
            .iter()
            .map(|path| format!("{} {path}\n", self.all[path]))
            .collect();
        write(&made.join("inputs"), &inputs)?;
        description.version.clone_from(&self.tree.name);
        description.made_of = Some(MadeOf {
            source: self.tree.name.clone(),
            tree: self.tree.id.clone(),
            config: self.source.config.iter().map(ToString::to_string).collect(),
            with: self.with(),
            files: closure.files().len(),
        });
        Ok(description)
    }
}
