//! Requests that do not complete at once: delayed, held, or collected to be reordered.
//!
//! The schedule is a plain data structure: it is told the time and what happened, and answers with what is to complete
//! now, in that order. Each entry but those of `hang` has an end: a time, or the longest wait of it or of its window.
//! Its size is bounded by its user (a driver cannot have more requests out than its rings hold).

use std::collections::BTreeMap;
use std::time::Instant;

use vhost_blk_api::op::Op;
use vhost_blk_api::plan::{self, Facts, Order, Until};
use vhost_blk_api::trace::ReleasedBy;

use crate::rulebook::decide::{Timing, permutation};

/// A request that is to complete now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Released<T> {
    /// The request's number.
    pub(crate) seq: u64,
    /// The request.
    pub(crate) item: T,
    /// Name of the rule that had it.
    pub(crate) rule: String,
    /// The rule's action.
    pub(crate) action: &'static str,
    /// What let it go.
    pub(crate) by: ReleasedBy,
}

/// Requests that wait, by number.
#[derive(Debug)]
pub(crate) struct Schedule<T> {
    entries: BTreeMap<u64, Entry<T>>,
    windows: BTreeMap<String, Window>,
}

#[derive(Debug)]
struct Entry<T> {
    item: T,
    rule: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Delay { until: Instant, action: &'static str },
    Hold { until: Until, left: u64, end: Instant },
    Hang,
    Window,
}

/// A reorder rule's window; it stays after it was let go, for its number.
#[derive(Debug)]
struct Window {
    members: Vec<u64>,
    number: u64,
    order: Order,
    /// Whether a flush ends it.
    epoch: bool,
    end: Instant,
}

impl<T> Default for Schedule<T> {
    fn default() -> Self {
        Schedule {
            entries: BTreeMap::new(),
            windows: BTreeMap::new(),
        }
    }
}

impl<T> Schedule<T> {
    /// How many requests wait.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none waits.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many requests a rule keeps waiting.
    #[must_use]
    pub(crate) fn holding(&self, rule: &str) -> usize {
        self.entries.values().filter(|entry| entry.rule == rule).count()
    }

    /// Takes a request; the answer is not empty when it fills its window.
    pub(crate) fn add(
        &mut self,
        now: Instant,
        seed: u64,
        seq: u64,
        item: T,
        rule: &str,
        timing: Timing,
    ) -> Vec<Released<T>> {
        let (kind, full) = self.kind(now, seq, rule, timing);
        self.entries.insert(
            seq,
            Entry {
                item,
                rule: rule.to_owned(),
                kind,
            },
        );
        if full {
            self.close_window(rule, seed, ReleasedBy::Window)
        } else {
            Vec::new()
        }
    }

    /// How a request waits, and whether its window is full with it.
    fn kind(&mut self, now: Instant, seq: u64, rule: &str, timing: Timing) -> (Kind, bool) {
        let kind = match timing {
            Timing::Delay { time, action } => Kind::Delay {
                until: now + time,
                action,
            },
            Timing::Hang => Kind::Hang,
            Timing::Hold {
                until: Until::Time(time),
                ..
            } => Kind::Delay {
                until: now + time,
                action: "hold",
            },
            Timing::Hold { until, max } => {
                let left = match &until {
                    Until::Next(watch) | Until::Done(watch) => watch.nth,
                    Until::Mark(_) | Until::Release | Until::Time(_) => 0,
                };
                Kind::Hold {
                    until,
                    left,
                    end: now + max,
                }
            }
            Timing::Reorder {
                window: wanted,
                order,
                max,
            } => {
                let window = self.windows.entry(rule.to_owned()).or_insert_with(|| Window {
                    members: Vec::new(),
                    number: 0,
                    order,
                    epoch: wanted == plan::Window::Epoch,
                    end: now,
                });
                // No member waits longer than this, however many follow.
                if window.members.is_empty() {
                    window.end = now + max;
                }
                window.members.push(seq);
                return (Kind::Window, window.members.len() >= wanted.size());
            }
        };
        (kind, false)
    }

    /// Tells of a request that was submitted; to be called before the request itself is added.
    pub(crate) fn submitted(&mut self, seed: u64, facts: &Facts) -> Vec<Released<T>> {
        let mut released = self.watched(facts, ReleasedBy::Next);
        if facts.op == Op::Flush {
            let open = self
                .windows
                .iter()
                .filter(|(_, window)| window.epoch && !window.members.is_empty());
            let ended: Vec<String> = open.map(|(rule, _)| rule.clone()).collect();
            for rule in ended {
                released.extend(self.close_window(&rule, seed, ReleasedBy::Epoch));
            }
        }
        released
    }

    /// Tells of a mark that was made.
    pub(crate) fn marked(&mut self, name: &str) -> Vec<Released<T>> {
        let waits =
            |entry: &Entry<T>| matches!(&entry.kind, Kind::Hold { until: Until::Mark(mark), .. } if mark == name);
        let seqs: Vec<u64> = self
            .entries
            .iter()
            .filter(|(_, entry)| waits(entry))
            .map(|(seq, _)| *seq)
            .collect();
        self.take(&seqs, ReleasedBy::Mark)
    }

    /// Tells of a request that was completed.
    pub(crate) fn completed(&mut self, facts: &Facts) -> Vec<Released<T>> {
        self.watched(facts, ReleasedBy::Done)
    }

    fn watched(&mut self, facts: &Facts, by: ReleasedBy) -> Vec<Released<T>> {
        let mut seqs = Vec::new();
        for (seq, entry) in &mut self.entries {
            let Kind::Hold { until, left, .. } = &mut entry.kind else {
                continue;
            };
            let watch = match (until, by) {
                (Until::Next(watch), ReleasedBy::Next) | (Until::Done(watch), ReleasedBy::Done) => watch,
                _ => continue,
            };
            if watch.matcher.matches(facts) {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    seqs.push(*seq);
                }
            }
        }
        self.take(&seqs, by)
    }

    /// Takes out what has waited long enough.
    pub(crate) fn due(&mut self, now: Instant, seed: u64) -> Vec<Released<T>> {
        let mut times: Vec<(Instant, u64, ReleasedBy)> = self
            .entries
            .iter()
            .filter_map(|(seq, entry)| match &entry.kind {
                Kind::Delay { until, .. } => Some((*until, *seq, ReleasedBy::Time)),
                Kind::Hold { end, .. } => Some((*end, *seq, ReleasedBy::Max)),
                Kind::Hang | Kind::Window => None,
            })
            .filter(|(end, ..)| *end <= now)
            .collect();
        times.sort_unstable_by_key(|(end, seq, _)| (*end, *seq));
        let mut released = Vec::new();
        for (_, seq, by) in times {
            released.extend(self.take(&[seq], by));
        }
        let late: Vec<String> = self
            .windows
            .iter()
            .filter(|(_, window)| !window.members.is_empty() && window.end <= now)
            .map(|(rule, _)| rule.clone())
            .collect();
        for rule in late {
            released.extend(self.close_window(&rule, seed, ReleasedBy::Max));
        }
        released
    }

    /// When [`due`](Self::due) will next have something to give.
    #[must_use]
    pub(crate) fn next_end(&self) -> Option<Instant> {
        let entries = self.entries.values().filter_map(|entry| match &entry.kind {
            Kind::Delay { until, .. } => Some(*until),
            Kind::Hold { end, .. } => Some(*end),
            Kind::Hang | Kind::Window => None,
        });
        let windows = self
            .windows
            .values()
            .filter(|window| !window.members.is_empty())
            .map(|window| window.end);
        entries.chain(windows).min()
    }

    /// Lets go what one rule keeps waiting; without a rule, all that is held or hangs (not what is delayed or
    /// reordered).
    pub(crate) fn release(&mut self, rule: Option<&str>) -> Vec<Released<T>> {
        let wanted = |entry: &Entry<T>| match rule {
            Some(rule) => entry.rule == rule,
            None => matches!(
                entry.kind,
                Kind::Hold { .. } | Kind::Hang | Kind::Delay { action: "hold", .. }
            ),
        };
        let seqs: Vec<u64> = self
            .entries
            .iter()
            .filter(|(_, entry)| wanted(entry))
            .map(|(seq, _)| *seq)
            .collect();
        self.take(&seqs, ReleasedBy::Release)
    }

    /// Lets go everything, in the order of submission, and forgets the windows.
    pub(crate) fn clear(&mut self) -> Vec<Released<T>> {
        let seqs: Vec<u64> = self.entries.keys().copied().collect();
        let released = self.take(&seqs, ReleasedBy::Clear);
        self.windows.clear();
        released
    }

    /// Lets go what one rule keeps waiting, in the order of submission, and forgets its window.
    pub(crate) fn clear_rule(&mut self, rule: &str) -> Vec<Released<T>> {
        let of_rule = self.entries.iter().filter(|(_, entry)| entry.rule == rule);
        let seqs: Vec<u64> = of_rule.map(|(seq, _)| *seq).collect();
        let released = self.take(&seqs, ReleasedBy::Clear);
        self.windows.remove(rule);
        released
    }

    /// Takes out the requests that `gone` says yes to, in the order of submission.
    pub(crate) fn remove(&mut self, gone: impl Fn(&T) -> bool, by: ReleasedBy) -> Vec<Released<T>> {
        let seqs: Vec<u64> = self
            .entries
            .iter()
            .filter(|(_, entry)| gone(&entry.item))
            .map(|(seq, _)| *seq)
            .collect();
        self.take(&seqs, by)
    }

    fn close_window(&mut self, rule: &str, seed: u64, by: ReleasedBy) -> Vec<Released<T>> {
        let Some(window) = self.windows.get_mut(rule) else {
            return Vec::new();
        };
        let members = std::mem::take(&mut window.members);
        let order = permutation(window.order, members.len(), seed, rule, window.number);
        window.number += 1;
        let seqs: Vec<u64> = order
            .into_iter()
            .filter_map(|index| members.get(index).copied())
            .collect();
        self.take(&seqs, by)
    }

    /// Takes entries out in the order given.
    fn take(&mut self, seqs: &[u64], by: ReleasedBy) -> Vec<Released<T>> {
        let mut released = Vec::with_capacity(seqs.len());
        for seq in seqs {
            let Some(Entry { item, rule, kind }) = self.entries.remove(seq) else {
                continue;
            };
            let action = match kind {
                Kind::Delay { action, .. } => action,
                Kind::Hold { .. } => "hold",
                Kind::Hang => "hang",
                Kind::Window => "reorder",
            };
            if let (Kind::Window, Some(window)) = (&kind, self.windows.get_mut(&rule)) {
                window.members.retain(|member| member != seq);
            }
            released.push(Released {
                seq: *seq,
                item,
                rule,
                action,
                by,
            });
        }
        released
    }
}

#[cfg(test)]
mod tests;
