//! The parts of a mail: the text that counts, what is attached, and why something cannot be read.

use std::io::Read as _;

use charset::Charset;
use mailparse::body::Body;
use mailparse::{DispositionType, ParsedMail};

use super::super::super::decompress;
use super::diff;
use super::encoding::{base64, quoted_printable, unescaped, unflowed};

/// Parts in parts, at most.
const DEPTH_MAX: u32 = 8;
/// Most that an attachment may hold: a series of some hundred patches is a tenth of it.
const ATTACHED_MAX: u64 = 32 << 20;
/// How archives begin, and bzip2.
const ARCHIVES: [&[u8]; 4] = [b"PK\x03\x04", b"7z\xbc\xaf", b"Rar!", b"BZh"];

const HTML: &str = "its text is only there as HTML; save the mail from the list's archive (its `raw` link)";
const ENCRYPTED: &str = "it is encrypted";
const ARCHIVE: &str = "an archive is attached to it; unpack that and name the directory";
const DAMAGED: &str = "its base64 is damaged; save the mail again";
const LARGE: &str = "what is attached to it is larger than 32 MiB";

/// What is in a mail's parts.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) inline: Vec<Vec<u8>>,
    /// The same in UTF-8.
    pub(super) recoded: Vec<Vec<u8>>,
    pub(super) attached: Vec<(Option<String>, Vec<u8>)>,
    pub(super) obstacle: Option<&'static str>,
    /// Whether something is missing where the obstacle is, whatever diff can be read.
    pub(super) is_cut: bool,
    pub(super) is_flowed: bool,
    /// Whether a blank that a mail program added goes with the line's end.
    is_delsp: bool,
}

impl Parts {
    /// Other ways to read the text: in UTF-8, and without what `format=flowed` allows a mail program to do to it.
    pub(super) fn others(&self) -> Vec<Vec<u8>> {
        let (inline, recoded) = (self.inline.concat(), self.recoded.concat());
        let mut others = vec![recoded.clone()];
        if self.is_flowed {
            others.extend([&inline, &recoded].map(|text| unflowed(text, self.is_delsp)));
        }
        others
    }
}

/// Takes a part, and those in it.
pub(super) fn walk(part: &ParsedMail<'_>, into: &mut Parts, depth: u32) {
    let kind = part.ctype.mimetype.to_ascii_lowercase();
    // What is only signed is of the same type.
    let smime = part.ctype.params.get("smime-type").map(String::as_str);
    if kind == "multipart/encrypted" || (kind.ends_with("pkcs7-mime") && smime != Some("signed-data")) {
        into.obstacle = Some(ENCRYPTED);
    } else if kind.ends_with("pkcs7-mime") {
        into.obstacle = Some("its text is in a signature (S/MIME); save the mail from the list's archive");
    } else if kind.starts_with("multipart/") && !part.subparts.is_empty() {
        several(part, &kind, into, depth);
    } else {
        single(part, &kind, into);
    }
}

fn several(part: &ParsedMail<'_>, kind: &str, into: &mut Parts, depth: u32) {
    let is_html = |part: &&ParsedMail<'_>| part.ctype.mimetype.eq_ignore_ascii_case("text/html");
    // Of several ways to say one thing the plain one counts.
    if kind == "multipart/alternative" && part.subparts.iter().any(|part| is_html(&part)) {
        into.obstacle = Some(HTML);
    }
    let one = (kind == "multipart/alternative")
        .then(|| part.subparts.iter().find(|part| !is_html(part)))
        .flatten();
    for sub in one.map_or(part.subparts.as_slice(), std::slice::from_ref) {
        if depth < DEPTH_MAX {
            walk(sub, into, depth + 1);
        }
    }
}

fn single(part: &ParsedMail<'_>, kind: &str, into: &mut Parts) {
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
        let content = into.whole(part);
        into.attach(file, &content);
    } else if kind.starts_with("text/") || kind.starts_with("multipart/") {
        let text = into.whole(part);
        into.text(part, &text);
    } else {
        let (content, _) = decoded(part);
        if ARCHIVES.iter().any(|magic| content.starts_with(magic)) {
            into.obstacle = Some(ARCHIVE);
        } else if diff::find(&content).is_some() {
            into.attached.push((file, content));
        }
    }
}

impl Parts {
    /// Takes what is attached, unpacked.
    fn attach(&mut self, file: Option<String>, content: &[u8]) {
        let unpacked = || {
            let mut bytes = Vec::new();
            let stream = decompress::stream(content)?;
            stream.take(ATTACHED_MAX + 1).read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>(bytes)
        };
        let bytes = unpacked().unwrap_or_else(|_| content.to_vec());
        if bytes.len() as u64 > ATTACHED_MAX {
            self.obstacle = Some(LARGE);
        } else if ARCHIVES.iter().any(|magic| bytes.starts_with(magic)) || bytes.get(257..262) == Some(b"ustar") {
            self.obstacle = Some(ARCHIVE);
        } else {
            self.attached.push((file, bytes));
        }
    }

    /// Takes the text of a part.
    fn text(&mut self, part: &ParsedMail<'_>, text: &[u8]) {
        let has = |name: &str, value: &str| {
            let found = part.ctype.params.get(name);
            found.is_some_and(|found| found.eq_ignore_ascii_case(value))
        };
        self.is_flowed |= has("format", "flowed");
        self.is_delsp |= has("delsp", "yes");
        if text
            .split(|byte| *byte == b'\n')
            .any(|line| line.trim_ascii_end() == b"-----BEGIN PGP MESSAGE-----")
        {
            self.obstacle = Some(ENCRYPTED);
        }
        let label = part.ctype.params.get("charset").map(String::as_bytes);
        let recoded = label.and_then(Charset::for_label).map(|charset| charset.decode(text));
        let whole = |text: &[u8]| {
            let mut text = unescaped(text);
            // The boundary took the last line's end.
            if !text.ends_with(b"\n") {
                text.push(b'\n');
            }
            text
        };
        self.recoded.push(match recoded {
            Some((recoded, _, false)) => whole(recoded.as_bytes()),
            _ => whole(text),
        });
        self.inline.push(whole(text));
    }

    /// A part, of which the mail is known to lack some if its encoding is damaged.
    fn whole(&mut self, part: &ParsedMail<'_>) -> Vec<u8> {
        let (bytes, is_whole) = decoded(part);
        if !is_whole {
            self.obstacle = Some(DAMAGED);
            self.is_cut = true;
        }
        bytes
    }
}

/// A part without its transfer encoding, every byte kept, and whether that could be undone.
fn decoded(part: &ParsedMail<'_>) -> (Vec<u8>, bool) {
    match part.get_body_encoded() {
        Body::Base64(body) => base64(body.get_raw()),
        Body::QuotedPrintable(body) => (quoted_printable(body.get_raw()), true),
        Body::SevenBit(body) | Body::EightBit(body) => (body.get_raw().to_vec(), true),
        Body::Binary(body) => (body.get_raw().to_vec(), true),
    }
}
