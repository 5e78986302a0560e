//! What is taken out of mails before anything is chosen: what is there twice, and what is for another source.

use std::collections::HashMap;

use super::diff::Diff;
use super::mail::Mail;

/// Mails that a note names one by one.
const NAMED_MAX: usize = 8;

/// Names for a person, who does not read hundreds.
pub(super) fn some(names: impl Iterator<Item = String>) -> String {
    let mut names: Vec<String> = names.collect();
    let more = names.len().saturating_sub(NAMED_MAX);
    if more > 1 {
        names.truncate(NAMED_MAX);
        names.push(format!("and {more} more"));
    }
    names.join(", ")
}

/// Takes out mails that are there more than once, as when one came by two lists.
pub(super) fn repeated(mails: &mut Vec<(usize, Mail)>, notes: &mut Vec<String>) {
    let changes =
        |mail: &Mail| -> Vec<Vec<Vec<u8>>> { mail.diffs.iter().map(|titled| titled.diff.owned_changes()).collect() };
    let title = |mail: &Mail| mail.tag.title.to_lowercase();
    let is_same = |one: &Mail, other: &Mail| {
        one.tag.number == other.tag.number
            && title(one) == title(other)
            && (one.diffs.is_empty() || other.diffs.is_empty() || changes(one) == changes(other))
    };
    let mut known: HashMap<String, Vec<(usize, Mail)>> = HashMap::new();
    let mut names = Vec::new();
    for (at, mail) in mails.drain(..) {
        // One without an id is known by its place.
        let id = mail.id.clone().unwrap_or_else(|| format!("{at}\n"));
        let of_id = known.entry(id).or_default();
        match of_id.iter_mut().find(|(_, other)| is_same(other, &mail)) {
            Some((_, other)) => {
                names.push(mail.name());
                if other.diffs.is_empty() {
                    *other = mail;
                }
            }
            None => of_id.push((at, mail)),
        }
    }
    mails.extend(known.into_values().flatten());
    mails.sort_by_key(|(at, _)| *at);
    let are = match names.len() {
        0 => return,
        1 => "one mail is".to_owned(),
        count => format!("{count} mails are"),
    };
    notes.push(format!("{are} there twice, by Message-ID: {}", some(names.into_iter())));
}

/// Takes out diffs for another source. A part of a series that is for this one is never for another, unless it says so.
pub(super) fn foreign(mails: &mut [(usize, Mail)], is_foreign: &dyn Fn(&Mail, &Diff) -> bool) -> Vec<String> {
    // A patch alone is no part.
    let part = |mail: &Mail| {
        let (number, total) = mail.tag.number.filter(|(_, total)| *total > 1)?;
        let series = (mail.sender.clone(), mail.tag.version, total);
        (!mail.tag.names_project).then_some((series, number))
    };
    let is_own = |mail: &Mail| mail.diffs.iter().any(|titled| !is_foreign(mail, &titled.diff));
    let own = mails.iter().filter(|(_, mail)| is_own(mail));
    let own: Vec<_> = own.filter_map(|(_, mail)| part(mail)).collect();
    // Two of one number are of two series.
    let is_part = |mail: &Mail| {
        part(mail).is_some_and(|(series, number)| {
            let mut its = own.iter().filter(|(other, _)| *other == series).peekable();
            its.peek().is_some() && its.all(|(_, other)| *other != number)
        })
    };
    let is_foreign = |mail: &Mail, diff: &Diff| is_foreign(mail, diff) && !is_part(mail);
    mails
        .iter_mut()
        .filter_map(|(_, mail)| without_foreign(mail, &is_foreign))
        .collect()
}

/// Takes diffs for another source out of a mail, and says so.
fn without_foreign(mail: &mut Mail, is_foreign: &dyn Fn(&Mail, &Diff) -> bool) -> Option<String> {
    let mut files = Vec::new();
    let (other, own): (Vec<_>, Vec<_>) = mail
        .diffs
        .iter()
        .cloned()
        .partition(|titled| is_foreign(mail, &titled.diff));
    for file in other.iter().flat_map(|titled| &titled.diff.files) {
        files.extend(file.path(1).map(str::to_owned));
    }
    mail.diffs = own;
    files.dedup();
    let first = files.first()?;
    let more = if files.len() > 1 {
        format!(" and {} more", files.len() - 1)
    } else {
        String::new()
    };
    let name = mail.name();
    if mail.diffs.is_empty() {
        // It is no part of the series any more.
        mail.tag.number = None;
    }
    Some(format!(
        "left out: {name} is for another project: this source has no place for {first}{more}"
    ))
}
