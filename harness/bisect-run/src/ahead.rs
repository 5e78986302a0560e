//! Kernels that a bisection is likely to want next, built while a guest runs.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use host::cache::Cache;
use kernels::TreeSource;
use kernels::build::{self, Stop};
use kernels::source::{PatchSet, Repo, Tree};

/// A kernel to build.
pub(crate) struct BuildRequest {
    pub(crate) item: usize,
    /// What it is called as a kernel.
    pub(crate) id: String,
    /// Its source,
    pub(crate) tree: Tree,
    /// and what is applied to it.
    pub(crate) patches: PatchSet,
}

/// Kernels that are built in the background, one after the other.
pub(crate) struct Ahead {
    stop: Arc<Stop>,
    /// The item whose build is under way, and those that came to their end.
    at: Arc<Mutex<At>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct At {
    now: Option<usize>,
    built: BTreeSet<usize>,
    /// No more after the one that is under way.
    last: bool,
}

impl Ahead {
    /// Begins to build. What goes wrong is found out again when the kernel is wanted.
    #[must_use]
    pub(crate) fn begin(cache: &Cache, repo: &Repo, source: &TreeSource, wanted: Vec<BuildRequest>) -> Ahead {
        let (stop, at) = (Arc::new(Stop::default()), Arc::new(Mutex::new(At::default())));
        let (cache, repo, source) = (cache.clone(), repo.clone(), source.clone());
        let thread = {
            let (stop, at) = (Arc::clone(&stop), Arc::clone(&at));
            std::thread::spawn(move || {
                for BuildRequest {
                    item,
                    id,
                    tree,
                    patches,
                } in wanted
                {
                    {
                        let mut at = at.lock().unwrap_or_else(PoisonError::into_inner);
                        if at.last || stop.is_stopped() {
                            return;
                        }
                        at.now = Some(item);
                    }
                    let made = patches
                        .apply(&repo, &cache, tree)
                        .ok()
                        .and_then(|tree| build::build_ahead(&cache, &repo, &id, &tree, &source, &stop).ok());
                    let mut at = at.lock().unwrap_or_else(PoisonError::into_inner);
                    at.now = None;
                    if made.is_some() {
                        at.built.insert(item);
                    }
                }
            })
        };
        Ahead {
            stop,
            at,
            thread: Some(thread),
        }
    }

    /// Whether this is the item whose build is under way.
    #[must_use]
    pub(crate) fn is_at(&self, item: usize) -> bool {
        self.at().now == Some(item)
    }

    /// Ends it, for an item that is wanted now: if that is the one whose build is under way, once it is built. The
    /// items that were built.
    pub(crate) fn end(mut self, item: Option<usize>) -> BTreeSet<usize> {
        let is_it = {
            let mut at = self.at();
            at.last = true;
            item.is_some() && at.now == item
        };
        if !is_it {
            self.stop.stop();
        }
        self.join();
        std::mem::take(&mut self.at().built)
    }

    fn at(&self) -> std::sync::MutexGuard<'_, At> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic there is a kernel that is not built ahead.
            let _ = thread.join();
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.stop.stop();
            self.join();
        }
    }
}
