//! The disk as a power cut at a mark would have left it, presented to the guest: as often as wanted, one state after
//! another, whatever the guest does to it in between.
//!
//! What is presented is an *excursion*: it begins where the history ends, and all that is done on it is noted behind
//! that. The next state takes the excursion back first, so the history itself stays as it was, with all its marks. A
//! mark on an excursion can be gone to as well; then an excursion begins from an excursion.
//!
//! No bytes are copied but those that are put on the disk. From one state of a mark to the next only what differs is
//! put: what the guest changed, and what is another undecided request's.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use thiserror::Error;

use super::change::{Content, Medium, Standing};
use super::choice::{Choice, Illegal, Undecided, Wanted};
use super::cover::Cover;
use super::history::History;
use super::in_flight::Pieces;
use super::log::{Entry, Log, UnknownMark, undo};
use super::presented::Presented;

/// What was presented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// How many requests were undecided at the mark.
    pub(crate) undecided: usize,
    /// Which of them are there.
    pub(crate) choice: Choice,
    /// Bytes that were put on the disk to come from the state before to this one.
    pub(crate) moved: u64,
}

/// A state that cannot be presented.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum PresentError {
    #[error(transparent)]
    Mark(#[from] UnknownMark),
    #[error("the history does not go back to what was durable at mark `{0}`: give --history more bytes")]
    Forgotten(String),
    #[error(
        "the disk has had another size since what was durable at mark `{0}`: only marks after a resize can be presented"
    )]
    Resized(String),
    #[error(transparent)]
    Illegal(#[from] Illegal),
}

impl Medium for Cover {
    fn put(&mut self, offset: u64, content: &Content) {
        Cover::put(self, offset, content.clone());
    }

    /// Nobody asks for it: where there is a resize no cover is drawn.
    fn set_bytes(&mut self, _: u64) {}

    fn regrow(&mut self, _: u64, _: &[Content]) {}
}

impl History {
    /// Makes the disk what a power cut at a mark would have left; what was presented before, and all that was done
    /// since, is taken back.
    ///
    /// # Errors
    /// The state is not known, or none that a power cut can leave; the disk stays as it is.
    pub(crate) fn present(&self, mark: &str, wanted: &Wanted, disk: &mut impl Standing) -> Result<State, PresentError> {
        match self.lock().as_mut() {
            Some(log) => log.present(mark, wanted, disk),
            None => Err(UnknownMark::without_history(mark).into()),
        }
    }

    /// The requests of which a power cut at a mark leaves all, nothing or a part.
    ///
    /// # Errors
    /// They are not known.
    pub(crate) fn undecided(&self, mark: &str, disk_bytes: u64) -> Result<Vec<Undecided>, PresentError> {
        let history = self.lock();
        let Some(log) = history.as_ref() else {
            return Err(UnknownMark::without_history(mark).into());
        };
        let index = log.find(mark).ok_or_else(|| log.unknown(mark))?;
        let level = log.level_of(log.forgotten + index as u64);
        log.undecided_at(mark, index, log.bytes_at_end(level, disk_bytes))
    }
}

impl Log {
    /// How many excursions begin before an entry.
    pub(super) fn level_of(&self, number: u64) -> usize {
        self.presented
            .iter()
            .take_while(|presented| presented.begins <= number)
            .count()
    }

    /// The number of the entry with which a level ends.
    fn end_of(&self, level: usize) -> u64 {
        self.presented
            .get(level)
            .map_or(self.noted(), |presented| presented.begins)
    }

    /// Where a level's entries end.
    pub(super) fn end_index(&self, level: usize) -> usize {
        self.index_of(self.end_of(level))
    }

    fn entries_of(&self, numbers: Range<u64>) -> impl DoubleEndedIterator<Item = &Entry> + Clone {
        let (start, end) = (self.index_of(numbers.start), self.index_of(numbers.end));
        self.entries.range(start.min(end)..end)
    }

    /// Takes back what was done on an excursion and on those from it: it then holds what was presented.
    fn unwind_to_presented(&self, level: usize, medium: &mut impl Medium) {
        for (above, presented) in self.presented.iter().enumerate().skip(level).rev() {
            undo(self.entries_of(presented.begins..self.end_of(above + 1)), medium);
            if above > level {
                presented.end.iter().for_each(|(at, content)| medium.put(at, content));
            }
        }
    }

    /// Takes back all excursions from a level: it then holds what the level's end does.
    pub(super) fn unwind(&self, level: usize, medium: &mut impl Medium) {
        self.unwind_to_presented(level, medium);
        if let Some(presented) = self.presented.get(level) {
            presented.end.iter().for_each(|(at, content)| medium.put(at, content));
        }
    }

    /// Forgets all excursions from a level, once they are taken back.
    pub(super) fn drop_excursions(&mut self, level: usize) -> VecDeque<Entry> {
        let left = self.end_index(level);
        self.presented.truncate(level);
        self.take_from(left)
    }

    fn has_resize(&self, numbers: Range<u64>) -> bool {
        self.entries_of(numbers).any(|entry| matches!(entry, Entry::Resize(_)))
    }

    /// Where the disk, which ends here now, ended with a level.
    fn bytes_at_end(&self, level: usize, disk_bytes: u64) -> u64 {
        let mut since = self.entries_of(self.end_of(level)..self.noted());
        let first = since.find_map(|entry| match entry {
            Entry::Resize(resize) => Some(resize.from),
            _ => None,
        });
        first.unwrap_or(disk_bytes)
    }

    /// The requests that were undecided at a mark, on a disk of this size.
    fn undecided_at(&self, name: &str, mark: usize, bytes: u64) -> Result<Vec<Undecided>, PresentError> {
        let durable = self.durable_at(mark);
        let durable = durable.ok_or_else(|| PresentError::Forgotten(name.to_owned()))?;
        let completed = self.entries.range(durable.min(mark)..mark);
        let completed = completed.filter_map(|entry| match entry {
            Entry::Changes(changes) => Some(Undecided {
                pieces: changes
                    .iter()
                    .map(|change| (change.offset, change.after.clone()))
                    .collect(),
                in_flight: false,
            }),
            _ => None,
        });
        let in_flight = match self.entries.get(mark) {
            Some(Entry::Mark { in_flight, .. }) => &in_flight[..],
            _ => &[],
        };
        // One that the disk has become too short for fails when its turn comes.
        let fits = |pieces: &&Arc<Pieces>| pieces.iter().all(|(at, content)| at + content.len() <= bytes);
        let in_flight = in_flight.iter().filter(fits).map(|pieces| Undecided {
            pieces: pieces.to_vec(),
            in_flight: true,
        });
        Ok(completed.chain(in_flight).collect())
    }

    /// Presents a state of a mark.
    fn present(&mut self, name: &str, wanted: &Wanted, disk: &mut impl Standing) -> Result<State, PresentError> {
        let index = self.find(name).ok_or_else(|| self.unknown(name))?;
        let number = self.forgotten + index as u64;
        let level = self.level_of(number);
        let bytes = self.bytes_at_end(level, disk.bytes());
        let again = self
            .presented
            .get(level)
            .is_some_and(|presented| presented.mark == number);
        let fresh = if again {
            None
        } else {
            Some(self.at_mark(name, index, level, bytes)?)
        };
        let undecided = match (&fresh, self.presented.get(level)) {
            (Some(fresh), _) => &fresh.undecided,
            (None, Some(presented)) => &presented.undecided,
            (None, None) => return Err(UnknownMark::without_history(name).into()),
        };
        let choice = Choice::of(undecided, wanted)?;
        let (count, shown) = (undecided.len(), choice.cover(undecided));
        // Where it was made to end elsewhere on an excursion, that is taken back on the disk itself.
        if self.has_resize(self.end_of(level)..self.noted()) {
            let next = match fresh {
                Some(fresh) => fresh,
                None => self.at_mark(name, index, level, bytes)?,
            };
            self.unwind(level, disk);
            self.drop_excursions(level);
            return Ok(self.shown(next, shown, &Cover::default(), count, choice, disk));
        }
        let mut was = Cover::default();
        let Some(fresh) = fresh else {
            self.unwind_to_presented(level, &mut was);
            self.drop_entries_above(level);
            return Ok(self.shown_again(level, shown, &was, count, choice, disk));
        };
        self.unwind(level, &mut was);
        self.drop_excursions(level);
        Ok(self.shown(fresh, shown, &was, count, choice, disk))
    }

    /// Keeps an excursion and forgets all that was done on it.
    fn drop_entries_above(&mut self, level: usize) {
        let left = self.end_index(level);
        self.presented.truncate(level + 1);
        self.take_from(left);
    }

    /// What is known of a mark's states, nothing of them shown.
    fn at_mark(&self, name: &str, mark: usize, level: usize, bytes: u64) -> Result<Presented, PresentError> {
        let undecided = self.undecided_at(name, mark, bytes)?;
        let durable_at = self.durable_at(mark).unwrap_or(mark).min(mark);
        let since = self.forgotten + durable_at as u64..self.end_of(level);
        if self.has_resize(since.clone()) {
            return Err(PresentError::Resized(name.to_owned()));
        }
        let (mut durable, mut end) = (Cover::default(), Cover::default());
        undo(self.entries_of(since.clone()), &mut durable);
        for entry in self.entries_of(since.clone()) {
            if let Entry::Changes(changes) = entry {
                for change in changes {
                    end.put(change.offset, change.after.clone());
                }
            }
        }
        Ok(Presented {
            mark: self.forgotten + mark as u64,
            begins: since.end,
            undecided,
            durable,
            end,
            shown: Cover::default(),
        })
    }

    /// Puts a mark's state on a disk that holds what the level's end does, but for what it was.
    fn shown(
        &mut self,
        mut next: Presented,
        shown: Cover,
        was: &Cover,
        undecided: usize,
        choice: Choice,
        disk: &mut impl Standing,
    ) -> State {
        // What was in flight may never have been done: the end holds there what nobody has noted.
        let in_flight = next.undecided.iter().filter(|request| request.in_flight);
        let ranges: Vec<Range<u64>> = in_flight
            .flat_map(|request| &request.pieces)
            .map(|(at, content)| *at..at + content.len())
            .collect();
        for range in ranges {
            for (at, content) in was.within(&range) {
                next.end.put_under(at, &content);
            }
            for gap in next.end.gaps(&range) {
                let mut at = gap.start;
                for content in disk.contents(&gap) {
                    next.end.put(at, content.clone());
                    at += content.len();
                }
            }
        }
        next.shown = shown;
        let mut target = next.shown.clone();
        next.durable
            .iter()
            .for_each(|(at, content)| target.put_under(at, content));
        was.iter().for_each(|(at, content)| target.put_under(at, content));
        self.presented.push(next);
        self.all_is_durable();
        State {
            undecided,
            choice,
            moved: put_all(&target, disk),
        }
    }

    /// Puts another state of the mark on a disk that shows one, but for what the guest has changed.
    fn shown_again(
        &mut self,
        level: usize,
        shown: Cover,
        was: &Cover,
        undecided: usize,
        choice: Choice,
        disk: &mut impl Standing,
    ) -> State {
        let mut moved = 0;
        if let Some(presented) = self.presented.get_mut(level) {
            let mut target = Cover::default();
            for (at, content) in was.iter() {
                target.put(at, content.clone());
                presented.lay(&shown, &(at..at + content.len()), &mut target);
            }
            for (at, content) in shown.iter().chain(presented.shown.iter()) {
                for gap in target.gaps(&(at..at + content.len())) {
                    presented.lay_differences(&shown, &gap, &mut target);
                }
            }
            moved = put_all(&target, disk);
            presented.shown = shown;
        }
        State {
            undecided,
            choice,
            moved,
        }
    }
}

/// Puts all of it on the disk; returns how many bytes that are.
fn put_all(target: &Cover, disk: &mut impl Medium) -> u64 {
    let put = |(at, content): (u64, &Content)| {
        disk.put(at, content);
        content.len()
    };
    target.iter().map(put).sum()
}
