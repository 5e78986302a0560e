//! Ranges of a disk and what they hold: what lies over a disk, or what is to be put on it. Nothing is copied; contents
//! share their bytes with the history.

use std::collections::BTreeMap;
use std::ops::Range;

use super::change::Content;

/// Contents of ranges, none of which lies upon another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cover(BTreeMap<u64, Content>);

impl Cover {
    /// Puts a content somewhere, over what is there.
    pub(crate) fn put(&mut self, offset: u64, content: Content) {
        if content.len() > 0 {
            self.bare(&(offset..offset + content.len()));
            self.0.insert(offset, content);
        }
    }

    /// Puts a content where nothing is yet.
    pub(crate) fn put_under(&mut self, offset: u64, content: &Content) {
        let range = offset..offset + content.len();
        for gap in self.gaps(&range) {
            self.0
                .insert(gap.start, content.part(gap.start - offset..gap.end - offset));
        }
    }

    /// Takes away what lies over a range.
    pub(crate) fn bare(&mut self, range: &Range<u64>) {
        for start in self.touched(range) {
            let Some(content) = self.0.remove(&start) else {
                continue;
            };
            let end = start + content.len();
            if start < range.start {
                self.0.insert(start, content.part(0..end.min(range.start) - start));
            }
            if end > range.end {
                self.0.insert(range.end, content.part(range.end - start..end - start));
            }
        }
    }

    /// What lies over a range, cut at its ends.
    pub(crate) fn within(&self, range: &Range<u64>) -> Vec<(u64, Content)> {
        let cut = |start: u64| {
            let content = self.0.get(&start)?;
            let part = start.max(range.start)..(start + content.len()).min(range.end);
            Some((part.start, content.part(part.start - start..part.end - start)))
        };
        self.touched(range).into_iter().filter_map(cut).collect()
    }

    /// What of a range nothing lies over.
    pub(crate) fn gaps(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let mut at = range.start;
        let mut gaps = Vec::new();
        for start in self.touched(range) {
            gaps.push(at..start);
            at = self.0.get(&start).map_or(at, |content| start + content.len());
        }
        gaps.push(at..range.end);
        gaps.retain(|gap| gap.start < gap.end);
        gaps
    }

    /// All of it, in its order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Content)> {
        self.0.iter().map(|(start, content)| (*start, content))
    }

    /// Where the pieces begin that lie in a range, if only in part.
    fn touched(&self, range: &Range<u64>) -> Vec<u64> {
        if range.is_empty() {
            return Vec::new();
        }
        // Of those that begin before it only the last can reach into it.
        let before = self.0.range(..range.start).next_back();
        let before = before.filter(|(start, content)| **start + content.len() > range.start);
        let within = self.0.range(range.clone());
        before.into_iter().chain(within).map(|(start, _)| *start).collect()
    }
}
