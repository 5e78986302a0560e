//! What trees cost to build, by what differs between them and what the build directories hold.

use std::time::SystemTime;

use super::Trees;
use crate::repository::Repository;
use bisect::search::Price;
use kernels::build::folders;
use kernels::source::Tree;

/// Trees that are compared at once: between releases far apart the names of what differs take megabytes a tree.
const AT_ONCE: usize = 8;

impl Trees {
    /// The prices of trees; nothing if nothing was built yet, or nothing that tells.
    pub(super) fn prices_of(&self, wanted: &[Tree]) -> Vec<Price> {
        let standing = folders::standing(&self.cache, &self.source);
        let Some(last) = (0..standing.len()).max_by_key(|at| standing[*at].used.unwrap_or(SystemTime::UNIX_EPOCH))
        else {
            return Vec::new();
        };
        let mut prices = vec![
            Price {
                nearest: 1.0,
                last: 1.0
            };
            wanted.len()
        ];
        for (at, standing) in standing.iter().enumerate() {
            let mut places = vec![self.repository.objects.clone()];
            places.extend(self.repository.alternates.iter().cloned());
            places.extend(standing.tree.alternates.iter().cloned());
            let repository = Repository::of_cache(&self.cache, places);
            let within: Vec<&str> = standing.uses.folders().into_iter().collect();
            for (wanted, prices) in wanted.chunks(AT_ONCE).zip(prices.chunks_mut(AT_ONCE)) {
                let pairs = wanted.iter().map(|tree| (standing.tree.id.clone(), tree.id.clone()));
                // What was built there may be of a repository that is gone; then it tells nothing.
                let Ok(differences) = repository.differences_within(&pairs.collect::<Vec<_>>(), &within) else {
                    break;
                };
                for (price, differ) in prices.iter_mut().zip(differences) {
                    let part = standing.uses.part(differ.iter().map(|(path, _)| path.as_str()));
                    price.nearest = price.nearest.min(part);
                    if at == last {
                        price.last = part;
                    }
                }
            }
        }
        prices
    }
}
