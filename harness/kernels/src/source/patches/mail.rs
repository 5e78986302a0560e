//! One mail: what it is called, what it answers, and the diffs in it.

use charset::Charset;
use mailparse::body::Body;
use mailparse::{DispositionType, MailHeaderMap as _, ParsedMail};

use super::super::super::decompress::Compression;
use super::diff::{self, Diff};
use super::encoding::{base64, quoted_printable};
use super::mbox;
use super::subject::Tag;

/// Digits of a commit's id.
const ID_LEN: usize = 40;
/// Mails in mails, at most.
const DEPTH_MAX: u32 = 4;

const HTML: &str = "its text is only there as HTML; save the mail from the list's archive (its `raw` link)";

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
    /// Whether its sender's program was free to wrap lines.
    pub(super) is_flowed: bool,
}

/// A diff with what it is called.
#[derive(Debug, Clone)]
pub(super) struct Titled {
    pub(super) title: String,
    pub(super) diff: Diff,
    /// The same in UTF-8, where the mail says that it is in something else.
    pub(super) recoded: Option<Diff>,
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

/// The mails of a text, or the one patch that it is.
pub(super) fn read(text: &[u8], place: &str, stem: &str) -> Result<Vec<Mail>, String> {
    nested(text, place, stem, 0)
}

fn nested(text: &[u8], place: &str, stem: &str, depth: u32) -> Result<Vec<Mail>, String> {
    let text = mbox::trimmed(text);
    if !mbox::is_mail(text) || depth >= DEPTH_MAX {
        return Ok(vec![plain(text, place, stem)?]);
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

/// A patch that came by no mail.
fn plain(text: &[u8], place: &str, stem: &str) -> Result<Mail, String> {
    let lossy = String::from_utf8_lossy(text);
    let is_commit = |line: &&str| {
        let rest = line.strip_prefix("commit ").unwrap_or_default();
        let (id, more) = rest.split_at_checked(ID_LEN).unwrap_or_default();
        // `commit ID upstream.` stands in messages.
        !id.is_empty() && id.chars().all(|c| c.is_ascii_hexdigit()) && (more.is_empty() || more.starts_with(" ("))
    };
    // Lines of a hunk begin otherwise.
    let commits = lossy.lines().filter(is_commit).count();
    if commits > 1 && diff::find(text).is_some() {
        return Err(format!(
            "it is what `git log -p` or `git show` says of {commits} commits, without their order; \
            `git format-patch --stdout` writes them as a series"
        ));
    }
    let said = lossy.lines().find_map(|line| line.strip_prefix("Description:"));
    let shown = || {
        lossy
            .lines()
            .find_map(|line| line.strip_prefix("    "))
            .filter(|_| commits == 1)
    };
    let title = said.or_else(shown).map(str::trim).filter(|title| !title.is_empty());
    let title = title.unwrap_or(stem).to_owned();
    let diffs = diff::find(text).map(|diff| Titled {
        title,
        diff,
        recoded: None,
    });
    Ok(Mail {
        place: place.to_owned(),
        base: base(&lossy),
        diffs: diffs.into_iter().collect(),
        ..Mail::default()
    })
}

/// A mail, and those that are attached to it.
fn one(raw: &[u8], place: String, stem: &str, depth: u32) -> Result<Vec<Mail>, String> {
    let normal = mbox::normal(raw).unwrap_or_default();
    let parsed = mailparse::parse_mail(&normal).map_err(|error| format!("{place} is no mail: {error}"))?;
    let value = |name: &str| parsed.headers.get_first_value(name);
    let subject = value("Subject").map(|subject| decoded_words(&subject));
    let mut parts = Parts::default();
    walk(&parsed, &mut parts, 0);
    let inline = parts.inline.concat();
    let lossy = String::from_utf8_lossy(&inline);
    let mut tag = Tag::of(subject.as_deref().unwrap_or_default());
    if let Some(own) = in_body(&lossy) {
        tag.title = Tag::of(own).title;
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
    let (diff, recoded) = (diff::find(&inline), diff::find(&parts.recoded.concat()));
    let recoded_alone = diff.is_none().then(|| recoded.clone()).flatten();
    mail.diffs.extend(diff.or(recoded_alone).map(|diff| Titled {
        title: title.clone(),
        recoded: recoded.filter(|recoded| *recoded != diff),
        diff,
    }));
    let mut others = Vec::new();
    let name = |name: &str| name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned();
    for (file, content) in parts.attached {
        let stem = file.as_deref().map_or_else(|| title.clone(), name);
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
    // Some send a patch both ways.
    let mut diffs: Vec<Titled> = Vec::new();
    for titled in mail.diffs {
        if !diffs.iter().any(|known| known.diff.changes() == titled.diff.changes()) {
            diffs.push(titled);
        }
    }
    mail.diffs = diffs;
    if let [only] = mail.diffs.as_mut_slice() {
        only.title = title;
    }
    others.insert(0, mail);
    Ok(others)
}

/// What is in a mail's parts.
#[derive(Default)]
struct Parts {
    inline: Vec<Vec<u8>>,
    /// The same in UTF-8.
    recoded: Vec<Vec<u8>>,
    attached: Vec<(Option<String>, Vec<u8>)>,
    obstacle: Option<&'static str>,
    is_flowed: bool,
}

fn walk(part: &ParsedMail<'_>, into: &mut Parts, depth: u32) {
    let kind = part.ctype.mimetype.to_ascii_lowercase();
    if kind == "multipart/encrypted" {
        into.obstacle = Some("it is encrypted");
        return;
    }
    if kind.starts_with("multipart/") && !part.subparts.is_empty() {
        let is_html = |part: &&ParsedMail<'_>| part.ctype.mimetype.eq_ignore_ascii_case("text/html");
        // Of several ways to say one thing the plain one counts.
        if kind == "multipart/alternative" && part.subparts.iter().any(|part| is_html(&part)) {
            into.obstacle = Some(HTML);
        }
        let one = (kind == "multipart/alternative")
            .then(|| part.subparts.iter().find(|part| !is_html(part)))
            .flatten();
        for sub in one.map_or(part.subparts.as_slice(), std::slice::from_ref) {
            if depth < 2 * DEPTH_MAX {
                walk(sub, into, depth + 1);
            }
        }
        return;
    }
    let disposition = part.get_content_disposition();
    let file = disposition
        .params
        .get("filename")
        .or_else(|| part.ctype.params.get("name"))
        .cloned();
    let is_attached = file.is_some() || disposition.disposition == DispositionType::Attachment;
    let is_patch = kind.ends_with("x-patch") || kind.ends_with("x-diff");
    if kind == "text/html" {
        into.obstacle = Some(HTML);
    } else if kind == "message/rfc822" || is_patch || (is_attached && !kind.starts_with("image/")) {
        let content = decoded(part);
        let unpacked = Compression::of(&content).and_then(|packed| packed.decompress(&content).ok());
        into.attached.push((file, unpacked.unwrap_or(content)));
    } else if kind.starts_with("text/") || kind.starts_with("multipart/") {
        into.is_flowed |= part
            .ctype
            .params
            .get("format")
            .is_some_and(|format| format.eq_ignore_ascii_case("flowed"));
        let mut text = decoded(part);
        // The boundary took the last line's end.
        if !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        let label = part.ctype.params.get("charset").map(String::as_bytes);
        let charset = label.and_then(Charset::for_label);
        let recoded = charset.map(|charset| charset.decode(&text));
        into.recoded.push(match recoded {
            Some((recoded, _, false)) => recoded.into_owned().into_bytes(),
            _ => text.clone(),
        });
        into.inline.push(text);
    } else {
        let content = decoded(part);
        if diff::find(&content).is_some() {
            into.attached.push((file, content));
        }
    }
}

/// A part without its transfer encoding, every byte kept.
fn decoded(part: &ParsedMail<'_>) -> Vec<u8> {
    match part.get_body_encoded() {
        Body::Base64(body) => base64(body.get_raw()),
        Body::QuotedPrintable(body) => quoted_printable(body.get_raw()),
        Body::SevenBit(body) | Body::EightBit(body) => body.get_raw().to_vec(),
        Body::Binary(body) => body.get_raw().to_vec(),
    }
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

/// The commit in a line `base-commit: ID`.
fn base(text: &str) -> Option<String> {
    let id = text.lines().find_map(|line| line.strip_prefix("base-commit:"))?.trim();
    (id.len() >= 7 && id.chars().all(|c| c.is_ascii_hexdigit())).then(|| id.to_owned())
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
        let id = "0123456789abcdef0123456789abcdef01234567";
        let commit = format!("commit {id}\n\n    a\n\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n\n");
        let shown = read(commit.as_bytes(), "m", "stem").unwrap();
        assert_eq!(shown[0].diffs[0].title, "a");
        let log = read(commit.repeat(2).as_bytes(), "m", "stem").unwrap_err();
        assert!(log.contains("2 commits"), "{log}");
    }
}
