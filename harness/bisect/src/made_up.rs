//! Made-up histories for tests.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::history::History;

/// Parents of a history with forks and merges: item 0 is the old end, the last item contains all.
pub(crate) fn parents(items: impl Strategy<Value = usize>) -> impl Strategy<Value = Vec<Vec<usize>>> {
    items
        .prop_flat_map(|items| vec((any::<Index>(), any::<Index>(), 0..4_u8), items - 1))
        .prop_map(|picks| {
            let items = picks.len() + 1;
            let mut parents = vec![Vec::new()];
            for (item, (first, second, shape)) in (1..items).zip(picks) {
                // Mostly lines, as histories are, with forks and merges in between.
                let mut of_item = vec![if shape == 0 { first.index(item) } else { item - 1 }];
                if shape == 1 {
                    of_item.push(second.index(item));
                }
                of_item.sort_unstable();
                of_item.dedup();
                parents.push(of_item);
            }
            let mut childless = vec![true; items];
            for parent in parents.iter().flatten() {
                childless[*parent] = false;
            }
            let new_end = items - 1;
            let loose = (0..new_end).filter(|item| childless[*item]);
            parents[new_end].extend(loose.collect::<Vec<_>>());
            parents[new_end].sort_unstable();
            parents[new_end].dedup();
            parents
        })
}

/// Lines, and histories with forks and merges.
pub(crate) fn histories(items: std::ops::Range<usize>) -> impl Strategy<Value = History> {
    prop_oneof![
        items.clone().prop_map(|items| History::linear(items).expect("a line")),
        parents(items).prop_map(|parents| History::of_parents(&parents).expect("a history")),
    ]
}
