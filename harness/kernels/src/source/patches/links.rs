//! Threads: which mails answer one another.

use std::collections::HashMap;

use super::mail::Mail;

/// Which mails hang together by what they answer.
pub(super) struct Links {
    thread: Vec<usize>,
    is_threaded: Vec<bool>,
}

impl Links {
    pub(super) fn of(mails: &[Mail]) -> Links {
        let mut names: HashMap<&str, usize> = HashMap::new();
        let mut parent: Vec<usize> = (0..mails.len()).collect();
        fn root(parent: &[usize], mut at: usize) -> usize {
            while parent[at] != at {
                at = parent[at];
            }
            at
        }
        for (at, mail) in mails.iter().enumerate() {
            for id in mail.id.iter().chain(&mail.refs) {
                // A mail that is not there still ties those that answer it.
                let other = *names.entry(id).or_insert(at);
                let (one, other) = (root(&parent, at), root(&parent, other));
                parent[one.max(other)] = one.min(other);
            }
        }
        Links {
            thread: (0..mails.len()).map(|at| root(&parent, at)).collect(),
            is_threaded: mails.iter().map(|mail| !mail.refs.is_empty()).collect(),
        }
    }

    pub(super) fn are_tied(&self, one: usize, other: usize) -> bool {
        self.thread[one] == self.thread[other]
    }

    /// Whether both say what they answer, and that is not one thread.
    pub(super) fn are_apart(&self, one: usize, other: usize) -> bool {
        !self.are_tied(one, other) && self.is_threaded[one] && self.is_threaded[other]
    }
}
