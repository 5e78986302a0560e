//! Which mails of a thread are the patches that its author wants applied, and in which order: what `b4 am` and then
//! `git am` do. What is left out is said.

use super::diff::Diff;
use super::links::Links;
use super::mail::Mail;
use super::series::{self, Series};
use super::sift::{foreign, repeated, some};
use super::subject::shown;
use host::words::counted;

/// What is to be applied, in order.
#[derive(Debug, Default)]
pub(super) struct Selected {
    pub(super) mails: Vec<Mail>,
    /// What a person should know: what was left out, sorted, or is missing.
    pub(super) notes: Vec<String>,
    /// The commit that it was made for, as the mails say.
    pub(super) base: Option<String>,
    /// Parts of the series that are not there.
    pub(super) missing: Vec<String>,
}

/// Chooses among the mails of one file or directory. `is_foreign` says of a diff that it is for another source.
///
/// # Errors
/// Nothing is left, or which of two mails counts cannot be told.
pub(super) fn select(mails: Vec<Mail>, is_foreign: &dyn Fn(&Mail, &Diff) -> bool) -> Result<Selected, String> {
    let links = Links::of(&mails);
    let mut notes = Vec::new();
    let mut mails: Vec<(usize, Mail)> = mails.into_iter().enumerate().collect();
    repeated(&mut mails, &mut notes);
    let foreign = foreign(&mut mails, is_foreign);
    let mut sorted = Sorted::of(mails);
    let is_unread = |mail: &Mail| mail.obstacle.is_some() && (mail.diffs.is_empty() || mail.is_cut);
    if let Some((_, mail)) = sorted.patches.iter().find(|(_, mail)| is_unread(mail)) {
        let obstacle = mail.obstacle.unwrap_or_default();
        let what = if mail.is_cut {
            "only a part of the diff"
        } else {
            "no diff"
        };
        return Err(format!("{what} can be read in {}: {obstacle}", mail.name()));
    }
    if !sorted.patches.iter().any(|(_, mail)| !mail.diffs.is_empty()) {
        sorted.one_answer(&foreign, &mut notes)?;
    }
    notes.extend(foreign);
    for (_, mail) in &sorted.covers {
        if !mail.diffs.is_empty() {
            notes.push(format!(
                "left out: {} is a cover letter, and has a diff in it",
                mail.name()
            ));
        }
    }
    for (_, mail) in &sorted.answers {
        notes.push(format!(
            "left out: the diff in {}, which answers another mail",
            mail.name()
        ));
    }
    let mut all = series::group(&sorted.patches, &sorted.covers, &links, &mut notes)?;
    newest(&mut all, &links, &mut notes)?;
    answering(&mut all, &links, &mut notes);
    let mut selected = Selected {
        base: all.iter().flat_map(Series::mails).find_map(|mail| mail.base.clone()),
        missing: all.iter().filter_map(Series::missing).collect(),
        ..Selected::default()
    };
    for name in all.iter().flat_map(Series::hollow) {
        let about_it = format!("left out: {name} ");
        // What was for another project has no diff any more.
        if !notes.iter().any(|note| note.starts_with(&about_it)) {
            notes.push(about_it + "holds no diff");
        }
    }
    all.retain(Series::has_diff);
    selected.mails = in_order(&all, &mut notes);
    notes.extend(selected.mails.iter().flat_map(several));
    selected.notes = notes;
    Ok(selected)
}

/// What may be more patches than it was taken for.
fn several(mail: &Mail) -> Vec<String> {
    let mut notes = Vec::new();
    if mail.diffs.len() > 1 {
        let titles = mail.diffs.iter().map(|titled| titled.title.clone());
        notes.push(format!(
            "{} holds {}, applied in its order: {}",
            mail.name(),
            counted(mail.diffs.len(), "patch"),
            some(titles)
        ));
    }
    for titled in &mail.diffs {
        let Some((path, times)) = titled.diff.repeated().filter(|_| mail.subject.is_none()) else {
            continue;
        };
        notes.push(format!(
            "{} is taken as one patch, and changes {path} {times} times: if it is several patches, a file for each of \
            them, in a directory, is a series",
            mail.name()
        ));
    }
    notes
}

/// Mails by what they are.
struct Sorted {
    /// What is sent as a patch, also if no diff is in it.
    patches: Vec<(usize, Mail)>,
    covers: Vec<(usize, Mail)>,
    /// Answers with a diff.
    answers: Vec<(usize, Mail)>,
    /// Why a mail that is none of these may hold a diff.
    obstacle: Option<String>,
    /// What all of them are called.
    mails: Vec<String>,
}

impl Sorted {
    fn of(mails: Vec<(usize, Mail)>) -> Sorted {
        let mut sorted = Sorted {
            patches: Vec::new(),
            covers: Vec::new(),
            answers: Vec::new(),
            obstacle: None,
            mails: mails.iter().map(|(_, mail)| mail.name()).collect(),
        };
        for (at, mail) in mails {
            let has_diff = !mail.diffs.is_empty();
            match (mail.tag.is_reply, mail.tag.number) {
                (true, _) if has_diff => sorted.answers.push((at, mail)),
                (true, _) => {}
                (false, Some((0, _))) => sorted.covers.push((at, mail)),
                (false, Some(_)) => sorted.patches.push((at, mail)),
                // Without a diff it is left out as a part of a series is, and named.
                (false, None) if has_diff || mail.tag.is_patch => {
                    sorted.patches.push((at, mail));
                }
                (false, None) => {
                    let obstacle = mail.obstacle.map(|obstacle| format!("{}: {obstacle}", mail.name()));
                    sorted.obstacle = sorted.obstacle.or(obstacle);
                }
            }
        }
        sorted
    }

    /// With no patch among the mails, an answer with a diff is what is meant, if there is only one.
    fn one_answer(&mut self, foreign: &[String], notes: &mut Vec<String>) -> Result<(), String> {
        match self.answers.len() {
            0 if !foreign.is_empty() => Err(foreign.join("; ")),
            0 => Err(match &self.obstacle {
                Some(obstacle) => format!("none of its mails holds a diff that can be read; {obstacle}"),
                None if self.mails.is_empty() => "none of its mails holds a diff".to_owned(),
                None => format!("none of its mails holds a diff: {}", some(self.mails.iter().cloned())),
            }),
            1 => {
                let (at, mail) = self.answers.remove(0);
                notes.push(format!(
                    "no mail is sent as a patch: the diff in the answer {} is taken",
                    mail.name()
                ));
                self.patches.push((at, mail));
                Ok(())
            }
            _ if self.answers.iter().all(|(_, mail)| mail.tag.is_forward) => {
                notes.push("no mail is sent as a patch: those that pass patches on are taken".to_owned());
                self.patches.append(&mut self.answers);
                Ok(())
            }
            _ => {
                let names: Vec<String> = self.answers.iter().map(|(_, mail)| mail.name()).collect();
                Err(format!(
                    "no mail is sent as a patch, and several answers hold a diff: {}; save the one that is meant",
                    some(names.into_iter())
                ))
            }
        }
    }
}

/// Leaves out what a newer version replaces; takes from it what the newer one does not send again.
///
/// # Errors
/// The newer one is only a part, and not of the older one.
fn newest(all: &mut Vec<Series>, links: &Links, notes: &mut Vec<String>) -> Result<(), String> {
    let mut at = 0;
    while at < all.len() {
        let old = &all[at];
        let newer = (0..all.len()).filter(|other| all[*other].replaces(old, links));
        let Some(newer) = newer.min_by_key(|other| all[*other].version) else {
            at += 1;
            continue;
        };
        let old = all.remove(at);
        let newer = if newer > at { newer - 1 } else { newer };
        all[newer].adopt_number(&old);
        let kept = all[newer].take_over(&old, links);
        let (is, of) = (shown(all[newer].version), shown(old.version));
        let left_out = old.len() - kept.len();
        let missing = all[newer]
            .missing()
            .filter(|_| kept.is_empty() && all[newer].len() < old.len());
        if let Some(missing) = missing {
            return Err(format!(
                "only some of {is} is there, and it does not answer {of}, so that what is meant cannot be told; take \
                the mails of one of them out ({missing})"
            ));
        }
        if kept.is_empty() {
            let cover = old.title();
            notes.push(format!(
                "left out: {} of {of} ({cover}), as {is} replaces it",
                counted(left_out, "patch")
            ));
        } else {
            notes.push(format!(
                "{is} sends only some patches again: {} from {of} as before; left out: {} of {of}",
                some(kept.into_iter()),
                counted(left_out, "patch")
            ));
        }
        // What the newer one replaces may have been compared before.
        at = 0;
    }
    Ok(())
}

/// Leaves out patches that somebody sent in answer to those of another series, and diffs in its thread that were not
/// sent as patches.
fn answering(all: &mut Vec<Series>, links: &Links, notes: &mut Vec<String>) {
    let mut left = Vec::new();
    for (at, series) in all.iter().enumerate() {
        let others = || {
            all.iter()
                .enumerate()
                .filter(|(other, _)| *other != at)
                .map(|(_, other)| other)
        };
        let is_beside = !series.is_tagged() && others().any(|other| other.is_tagged() && series.is_tied(other, links));
        // A series may answer what is none, as the report of a bug.
        let answered = others()
            .filter(|other| other.has_diff() && (other.is_tagged() || !series.is_tagged()))
            .find_map(|other| series.answers(other));
        let why = match answered {
            _ if is_beside => "which is not sent as a patch".to_owned(),
            Some(answered) => format!("which was sent in answer to {answered}; its file alone applies it"),
            None => continue,
        };
        left.push(at);
        notes.extend(series.names().iter().map(|name| format!("left out: {name}, {why}")));
    }
    for at in left.into_iter().rev() {
        all.remove(at);
    }
}

/// The mails with a diff in the order in which they are applied.
fn in_order(all: &[Series], notes: &mut Vec<String>) -> Vec<Mail> {
    let is_sorted = all.iter().all(Series::is_in_order);
    let mut mails: Vec<(usize, Mail)> = all.iter().flat_map(Series::sorted).collect();
    if is_sorted {
        mails.sort_by_key(|(at, _)| *at);
    } else {
        let mut found: Vec<&(usize, Mail)> = mails.iter().collect();
        found.sort_by_key(|(at, _)| *at);
        let places = found.iter().map(|(_, mail)| mail.tag.place());
        notes.push(format!("sorted by number; found as {}", some(places)));
    }
    if all.len() > 1 && all.iter().any(Series::is_long) {
        notes.push(format!(
            "{} series are there, and all are applied: {}",
            all.len(),
            some(all.iter().map(Series::title))
        ));
    }
    mails
        .into_iter()
        .map(|(_, mail)| mail)
        .filter(|mail| !mail.diffs.is_empty())
        .collect()
}
