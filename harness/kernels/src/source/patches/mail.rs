//! One mail: what it is called, what it answers, and the diffs in it.

use super::diff::Diff;
use super::subject::Tag;

/// A mail, or a patch that is none.
#[derive(Debug, Clone, Default)]
pub(super) struct Mail {
    /// Where it was found, for a person: the file, and which mail of it.
    pub(super) place: String,
    /// As it was sent, decoded; none for what is no mail.
    pub(super) subject: Option<String>,
    pub(super) tag: Tag,
    /// The sender's address.
    pub(super) sender: String,
    pub(super) id: Option<String>,
    /// The mails that it answers.
    pub(super) refs: Vec<String>,
    pub(super) diffs: Vec<Titled>,
    /// The commit that it says that it was made for.
    pub(super) base: Option<String>,
    /// Why there may be a diff that cannot be read.
    pub(super) obstacle: Option<&'static str>,
    /// Whether some of its diff is lost by the obstacle.
    pub(super) is_cut: bool,
    /// Whether it may be what another mail quotes: it has neither an id nor a date.
    pub(super) is_quote: bool,
    /// Whether its sender's program was free to wrap lines.
    pub(super) is_flowed: bool,
}

/// A diff with what it is called.
#[derive(Debug, Clone)]
pub(super) struct Titled {
    pub(super) title: String,
    pub(super) diff: Diff,
    /// Other ways to read it, which the mail's headers allow.
    pub(super) others: Vec<Diff>,
}

impl Mail {
    /// What a person knows it by.
    pub(super) fn name(&self) -> String {
        match &self.subject {
            Some(subject) => format!("`{subject}`"),
            None => self.place.clone(),
        }
    }
}

/// A text that stands on one line and does nothing to a terminal.
pub(super) fn visible(text: &str) -> String {
    // The last two turn the direction of what follows.
    let is_hidden = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let words = text.split(is_hidden).map(str::trim).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// The commit in a line `base-commit: ID`.
pub(super) fn base(text: &str) -> Option<String> {
    let id = text.lines().find_map(|line| line.strip_prefix("base-commit:"))?.trim();
    (id.len() >= 7 && id.chars().all(|c| c.is_ascii_hexdigit())).then(|| id.to_owned())
}
