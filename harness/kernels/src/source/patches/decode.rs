//! Mails of a text: their headers, their parts, and the mails that they carry.

use mailparse::MailHeaderMap as _;

use super::diff::{self, Diff};
use super::mail::{Mail, Titled, base, visible};
use super::parts::{Parts, walk};
use super::subject::Tag;
use super::{mbox, plain};

/// Mails in mails, at most.
const DEPTH_MAX: u32 = 4;

/// The mails of a text, or the one patch that it is.
pub(super) fn read(text: &[u8], place: &str, stem: &str) -> Result<Vec<Mail>, String> {
    nested(text, place, stem, 0)
}

fn nested(text: &[u8], place: &str, stem: &str, depth: u32) -> Result<Vec<Mail>, String> {
    let text = mbox::trimmed(text);
    if !mbox::is_mail(text) || depth >= DEPTH_MAX {
        return Ok(vec![plain::read(text, place, stem)?]);
    }
    let parts = mbox::split(text);
    let mut mails = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let place = if parts.len() == 1 {
            place.to_owned()
        } else {
            format!("{place}, mail {}", at + 1)
        };
        mails.extend(one(part, place, stem, depth)?);
    }
    Ok(mails)
}

/// A mail, and those that are attached to it.
fn one(raw: &[u8], place: String, stem: &str, depth: u32) -> Result<Vec<Mail>, String> {
    let normal = mbox::normal(raw).unwrap_or_default();
    let parsed = mailparse::parse_mail(&normal).map_err(|error| format!("{place} is no mail: {error}"))?;
    let value = |name: &str| parsed.headers.get_first_value(name);
    let subject = value("Subject").map(|subject| visible(&decoded_words(&subject)));
    let mut parts = Parts::default();
    walk(&parsed, &mut parts, 0);
    let inline = parts.inline.concat();
    let lossy = String::from_utf8_lossy(&inline);
    let mut tag = Tag::of(subject.as_deref().unwrap_or_default());
    if let Some(own) = in_body(&lossy) {
        tag.title = Tag::of(&visible(own)).title;
    }
    let mut mail = Mail {
        sender: value("From").map(|from| address(&from)).unwrap_or_default(),
        id: value("Message-ID").and_then(|id| ids(&id).pop()),
        refs: ["In-Reply-To", "References"]
            .iter()
            .filter_map(|name| value(name))
            .flat_map(|text| ids(&text))
            .collect(),
        base: base(&lossy),
        obstacle: parts.obstacle,
        is_cut: parts.is_cut,
        is_quote: value("Message-ID").is_none() && value("Date").is_none(),
        is_flowed: parts.is_flowed,
        subject,
        tag,
        place,
        diffs: Vec::new(),
    };
    let title = if mail.tag.title.is_empty() {
        stem.to_owned()
    } else {
        mail.tag.title.clone()
    };
    let mut ways: Vec<Diff> = Vec::new();
    for way in std::iter::once(inline).chain(parts.others()) {
        ways.extend(diff::find(&way).filter(|diff| !ways.contains(diff)));
    }
    if !ways.is_empty() {
        mail.diffs.push(Titled {
            title: title.clone(),
            diff: ways.remove(0),
            others: ways,
        });
    }
    let mut others = carried(&mut mail, parts.attached, &title, depth)?;
    if let [only] = mail.diffs.as_mut_slice() {
        only.title = title;
    }
    others.insert(0, mail);
    Ok(others)
}

/// Takes what is attached to a mail; the mails of their own among it.
fn carried(
    mail: &mut Mail,
    attached: Vec<(Option<String>, Vec<u8>)>,
    title: &str,
    depth: u32,
) -> Result<Vec<Mail>, String> {
    let mut others = Vec::new();
    let name = |name: &str| name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned();
    for (file, content) in attached {
        let stem = file
            .as_deref()
            .map_or_else(|| title.to_owned(), |file| visible(&name(file)));
        for inner in nested(&content, &mail.place, &stem, depth + 1)? {
            // Mails of their own are parts of a series as any others; the rest belongs to what it is attached to.
            if inner.tag.number.is_some() {
                others.push(inner);
            } else {
                mail.base = mail.base.take().or(inner.base);
                mail.diffs.extend(inner.diffs);
            }
        }
    }
    if mail.diffs.is_empty() && !others.is_empty() {
        // What it carries is what is sent.
        (mail.tag.is_patch, mail.tag.number) = (false, None);
    }
    // Some send a patch both ways.
    let mut diffs: Vec<Titled> = Vec::new();
    for titled in std::mem::take(&mut mail.diffs) {
        if !diffs.iter().any(|known| known.diff.changes() == titled.diff.changes()) {
            diffs.push(titled);
        }
    }
    mail.diffs = diffs;
    Ok(others)
}

/// Words of a charset that says that it is unknown are tried as UTF-8, which nearly all are.
fn decoded_words(subject: &str) -> String {
    if !subject.to_ascii_lowercase().contains("=?unknown") {
        return subject.to_owned();
    }
    let header = format!(
        "Subject: {}",
        subject
            .replace("=?unknown-8bit?", "=?utf-8?")
            .replace("=?UNKNOWN-8BIT?", "=?utf-8?")
    );
    mailparse::parse_header(header.as_bytes()).map_or_else(|_| subject.to_owned(), |(header, _)| header.get_value())
}

/// A subject that stands at the top of the body, as `git send-email` writes one.
fn in_body(text: &str) -> Option<&str> {
    let words = ["From:", "Subject:", "Date:"];
    let lines = text.trim_start().lines();
    let mut own = lines.take_while(|line| words.iter().any(|word| line.starts_with(word)));
    own.find_map(|line| line.strip_prefix("Subject:")).map(str::trim)
}

fn address(from: &str) -> String {
    let inside = from.rsplit_once('<').map_or(from, |(_, rest)| rest);
    inside.split('>').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The ids of mails in a header.
fn ids(text: &str) -> Vec<String> {
    let parts = text.split('<').skip(1);
    parts
        .filter_map(|part| Some(part.split_once('>')?.0.trim().to_owned()))
        .filter(|id| !id.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_say_what_a_mail_is_called() {
        let mail = |head: &str, body: &str| {
            read(format!("{head}\n\n{body}").as_bytes(), "m", "stem")
                .unwrap()
                .remove(0)
        };
        let title = |head: &str, body: &str| mail(head, body).tag.title;
        assert_eq!(
            title("Subject: =?UTF-8?q?=5BPATCH=201/4=5D=20d=C3=A9j=C3=A0?=", ""),
            "d\u{e9}j\u{e0}"
        );
        assert_eq!(title("Subject: =?unknown-8bit?q?d=C3=A9?=", ""), "d\u{e9}");
        assert_eq!(title("Subject: [PATCH] a\n b", ""), "a b");
        assert_eq!(
            title("From: a\nSubject: x", "From: B <b@c>\nSubject: [PATCH] own\n\ntext\n"),
            "own"
        );
        let answer = mail(
            "Message-Id: <1@x>\nIn-Reply-To: <2@x>\nReferences: <3@x>\n <2@x>\nFrom: Jos <J@x>",
            "",
        );
        assert_eq!(
            (answer.id.as_deref(), answer.refs.len(), answer.sender.as_str()),
            (Some("1@x"), 3, "j@x")
        );
        assert_eq!(
            mail("Subject: x", "\nbase-commit: 0123456789ab\n").base.as_deref(),
            Some("0123456789ab")
        );
        assert_eq!(mail("Message-Id: <>\nSubject: x", "").id, None);
        // A line or a terminal's command in a subject.
        assert_eq!(
            title("Subject: =?utf-8?q?a=1B[31m=0Anote:=20fine=0D?= b", ""),
            "a [31m note: fine b"
        );
        assert_eq!(title("Subject: a", "Subject: b\u{202e}c\x07\n\nd\n"), "b c");
    }
}
