//! Patches that were sent as one series.

use super::links::Links;
use super::mail::Mail;
use super::sift::some;
use super::subject::{Version, shown};
use host::words::counted;

/// Patches of one sender, version and length, each with its place among all mails.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) version: Version,
    /// How many there are, if they are numbered.
    total: Option<u32>,
    sender: String,
    parts: Vec<(usize, Mail)>,
    covers: Vec<(usize, Mail)>,
}

/// What a mail is to a series.
enum Fit {
    /// Another one's.
    None,
    Part,
    /// The same patch once more.
    Again,
    /// In place of a part.
    Instead(usize),
    /// What another mail quotes of a part.
    Quoted,
    /// Another patch of the same title.
    Namesake,
}

/// Puts patches together that were sent together.
///
/// # Errors
/// Two mails have one place and differ.
pub(super) fn group(
    patches: &[(usize, Mail)],
    covers: &[(usize, Mail)],
    links: &Links,
    notes: &mut Vec<String>,
) -> Result<Vec<Series>, String> {
    let mut all: Vec<Series> = Vec::new();
    let mut again = 0;
    let mut namesakes = Vec::new();
    'mails: for (at, mail) in patches {
        for series in &mut all {
            match series.fit(*at, mail, links)? {
                Fit::None => continue,
                Fit::Namesake => {
                    namesakes.push(mail.name());
                    continue;
                }
                Fit::Quoted => notes.push(format!(
                    "left out: {} ({}), which another mail quotes, and not as it was sent",
                    mail.name(),
                    mail.place
                )),
                Fit::Part => series.parts.push((*at, mail.clone())),
                Fit::Again => again += 1,
                Fit::Instead(part) => {
                    notes.push(format!("{} is taken; left out: what was sent before it", mail.name()));
                    series.parts[part] = (*at, mail.clone());
                }
            }
            continue 'mails;
        }
        all.push(Series {
            version: mail.tag.version,
            total: mail.tag.number.map(|(_, total)| total),
            sender: mail.sender.clone(),
            parts: vec![(*at, mail.clone())],
            covers: Vec::new(),
        });
    }
    for (at, cover) in covers {
        let its = all.iter_mut().find(|series| series.is_of(*at, cover, links));
        if let Some(series) = its {
            series.covers.push((*at, cover.clone()));
        }
    }
    if again > 0 {
        notes.push(format!(
            "{} there twice with the same diff",
            if again == 1 {
                "one patch is".to_owned()
            } else {
                format!("{again} patches are")
            }
        ));
    }
    if !namesakes.is_empty() {
        namesakes.dedup();
        notes.push(format!(
            "several patches are called {} and differ: all of them are applied",
            some(namesakes.into_iter())
        ));
    }
    Ok(all)
}

impl Series {
    /// Whether a mail has this series' version, length and sender.
    fn is_of(&self, at: usize, mail: &Mail, links: &Links) -> bool {
        self.version == mail.tag.version
            && self.total == mail.tag.number.map(|(_, total)| total)
            // Some send patches of several people under the authors' names.
            && (self.sender == mail.sender || self.parts.iter().any(|(part, _)| links.are_tied(*part, at)))
            && !self.parts.iter().any(|(part, _)| links.are_apart(*part, at))
    }

    fn fit(&self, at: usize, mail: &Mail, links: &Links) -> Result<Fit, String> {
        if mail.subject.is_none() || !self.is_of(at, mail, links) {
            return Ok(Fit::None);
        }
        let same_place = self
            .parts
            .iter()
            .position(|(_, part)| part.tag.number == mail.tag.number);
        let Some(part) = same_place else {
            return Ok(Fit::Part);
        };
        let known = &self.parts[part].1;
        if known.subject.is_none() || known.tag.title.to_lowercase() != mail.tag.title.to_lowercase() {
            return Ok(Fit::None);
        }
        let paths = |mail: &Mail| -> Vec<String> {
            let files = mail.diffs.iter().flat_map(|titled| &titled.diff.files);
            files.filter_map(|file| file.path(1)).map(str::to_owned).collect()
        };
        let changes = |mail: &Mail| -> Vec<Vec<Vec<u8>>> {
            mail.diffs.iter().map(|titled| titled.diff.owned_changes()).collect()
        };
        // Only a number, a version or a word says that one is meant in place of the other.
        let is_alone = known.tag.number.is_none() && self.version == (1, 0) && !known.tag.is_resend;
        if changes(known) == changes(mail) {
            Ok(Fit::Again)
        } else if known.is_quote != mail.is_quote {
            Ok(if known.is_quote {
                Fit::Instead(part)
            } else {
                Fit::Quoted
            })
        } else if mail.tag.is_resend && !known.tag.is_resend {
            Ok(Fit::Instead(part))
        } else if known.tag.number.is_none() && paths(known) != paths(mail) {
            Ok(Fit::None)
        } else if is_alone {
            Ok(Fit::Namesake)
        } else {
            Err(format!(
                "{} and {} are both {} and differ ({}): take one of them out",
                known.place,
                mail.place,
                mail.tag
                    .number
                    .map_or_else(|| "patches of one title".to_owned(), |_| mail.tag.place()),
                mail.name()
            ))
        }
    }

    /// Whether this is a newer version of another one.
    pub(super) fn replaces(&self, old: &Series, links: &Links) -> bool {
        let tied = || self.sender == old.sender && self.is_tied(old, links);
        let title = |mail: &Mail| mail.tag.title.to_lowercase();
        let shares = || {
            let titles: Vec<String> = old.mails().map(title).filter(|title| !title.is_empty()).collect();
            self.mails().any(|mail| titles.contains(&title(mail)))
        };
        // What is no mail has no version.
        let is_mail = self.mails().chain(old.mails()).all(|mail| mail.subject.is_some());
        is_mail && self.version > old.version && (tied() || shares())
    }

    /// Whether both are of one thread.
    pub(super) fn is_tied(&self, other: &Series, links: &Links) -> bool {
        let mut mails = self.mails_at();
        mails.any(|(one, _)| other.mails_at().any(|(other, _)| links.are_tied(*one, *other)))
    }

    /// Whether it is sent as patches, by its subjects.
    pub(super) fn is_tagged(&self) -> bool {
        self.parts.iter().any(|(_, mail)| mail.tag.is_patch)
    }

    /// Gives a patch that is sent again alone the number of the one that it answers or is called like.
    pub(super) fn adopt_number(&mut self, old: &Series) {
        let ([(_, mail)], None, Some(_)) = (self.parts.as_mut_slice(), self.total, old.total) else {
            return;
        };
        let title = |mail: &Mail| mail.tag.title.to_lowercase();
        let answered = |part: &&(usize, Mail)| part.1.id.as_ref().is_some_and(|id| mail.refs.contains(id));
        let answered: Vec<_> = old.parts.iter().filter(answered).collect();
        let called = answered.iter().find(|(_, part)| title(part) == title(mail));
        let one = called.or(answered.first().filter(|_| answered.len() == 1));
        if let Some((_, part)) = one {
            mail.tag.number = part.tag.number;
            self.total = old.total;
        }
    }

    /// Takes from an older version what this one lacks, if it was sent in answer to it. The places of what was taken.
    pub(super) fn take_over(&mut self, old: &Series, links: &Links) -> Vec<String> {
        let (Some((first, _)), true) = (self.parts.first(), self.total.is_some() && self.total == old.total) else {
            return Vec::new();
        };
        let ids: Vec<&String> = old.mails().filter_map(|mail| mail.id.as_ref()).collect();
        let answers = |mail: &Mail| mail.refs.iter().any(|id| ids.contains(&id));
        if !old.parts.iter().any(|(at, _)| links.are_tied(*at, *first))
            || !self.parts.iter().all(|(_, mail)| answers(mail))
        {
            return Vec::new();
        }
        let numbers: Vec<_> = self.parts.iter().map(|(_, mail)| mail.tag.number).collect();
        let lacking = old.parts.iter().filter(|(_, mail)| !numbers.contains(&mail.tag.number));
        let lacking: Vec<(usize, Mail)> = lacking.cloned().collect();
        let places = lacking.iter().map(|(_, mail)| mail.tag.place()).collect();
        self.parts.extend(lacking);
        places
    }

    /// The mail of another series that this one was sent in answer to.
    pub(super) fn answers(&self, other: &Series) -> Option<String> {
        // Patches without numbers are sent as answers to the first.
        if self.total.is_none() && other.total.is_none() && self.sender == other.sender {
            return None;
        }
        let refs: Vec<&String> = self.mails().flat_map(|mail| &mail.refs).collect();
        let mut mails = other.mails();
        let answered = mails.find(|mail| mail.id.as_ref().is_some_and(|id| refs.contains(&id)))?;
        Some(answered.name())
    }

    /// Places that no mail has, for a person.
    pub(super) fn missing(&self) -> Option<String> {
        let total = self.total?;
        let mut numbers: Vec<u32> = self.numbers().filter(|number| *number <= total).collect();
        numbers.sort_unstable();
        let mut missing = Vec::new();
        let mut next = 1_u32;
        for number in numbers.into_iter().chain([total.saturating_add(1)]) {
            if next.checked_add(1) == Some(number) {
                missing.push(format!("{next}/{total}"));
            } else if next < number {
                missing.push(format!("{next}/{total} to {}/{total}", number - 1));
            }
            next = number.saturating_add(1);
        }
        let version = if self.version > (1, 0) {
            format!(" of {}", shown(self.version))
        } else {
            String::new()
        };
        let missing = missing.join(", ");
        let sent = counted(total as usize, "patch");
        let words = format!("not there: {missing}{version}, of {sent} sent with {}", self.title());
        (!missing.is_empty()).then_some(words)
    }

    /// The names of patches in which no diff is.
    pub(super) fn hollow(&self) -> impl Iterator<Item = String> {
        let hollow = self.parts.iter().filter(|(_, mail)| mail.diffs.is_empty());
        hollow.map(|(_, mail)| mail.name())
    }

    /// What it is known by: its cover letter, or its first patch.
    pub(super) fn title(&self) -> String {
        let cover = self
            .covers
            .first()
            .or_else(|| self.parts.iter().min_by_key(|(at, mail)| (mail.tag.number, *at)));
        cover.map_or_else(String::new, |(_, mail)| mail.name())
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.parts.iter().map(|(_, mail)| mail.name()).collect()
    }

    /// How many mails of it are patches.
    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }

    pub(super) fn has_diff(&self) -> bool {
        self.parts.iter().any(|(_, mail)| !mail.diffs.is_empty())
    }

    pub(super) fn is_long(&self) -> bool {
        self.total.is_some_and(|total| total > 1)
    }

    pub(super) fn is_in_order(&self) -> bool {
        let mut in_order = self.parts.clone();
        in_order.sort_by_key(|(at, _)| *at);
        in_order.is_sorted_by_key(|(_, mail)| mail.tag.number)
    }

    /// Its patches by their number.
    pub(super) fn sorted(&self) -> Vec<(usize, Mail)> {
        let mut parts = self.parts.clone();
        parts.sort_by_key(|(at, mail)| (mail.tag.number, *at));
        parts
    }

    pub(super) fn mails(&self) -> impl Iterator<Item = &Mail> {
        self.mails_at().map(|(_, mail)| mail)
    }

    fn mails_at(&self) -> impl Iterator<Item = &(usize, Mail)> {
        self.covers.iter().chain(&self.parts)
    }

    fn numbers(&self) -> impl Iterator<Item = u32> {
        self.parts.iter().filter_map(|(_, mail)| Some(mail.tag.number?.0))
    }
}
