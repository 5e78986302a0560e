//! The mail that is being read of a mailbox, and whether it ends where others' headers begin.

use super::subject::Tag;

/// Lines, without their dashes, after which a mail that is passed on or answered stands.
const PASSED_ON: [&str; 6] = [
    "original message",
    "forwarded message",
    "begin forwarded message:",
    "weitergeleitete nachricht",
    "urspr\u{fc}ngliche nachricht",
    "message d'origine",
];
/// Dashes between the mails of a digest, at least.
const DIGEST_LEN: usize = 30;

/// What is known of the mail that is being read.
#[derive(Default)]
pub(super) struct Current {
    is_body: bool,
    /// Its headers, as long as they are read.
    head: Vec<Vec<u8>>,
    tag: Tag,
    /// The line that ends it, if it has parts.
    last: Option<Vec<u8>>,
    is_base64: bool,
    has_diff: bool,
    /// Whether somebody passed it on with others.
    is_split_off: bool,
    /// Whether the last line says that another mail follows.
    is_quoting: bool,
}

impl Current {
    /// A mail that begins. `is_split_off`: somebody passes it on with others.
    pub(super) fn after(is_split_off: bool) -> Current {
        Current {
            is_split_off,
            ..Current::default()
        }
    }

    pub(super) fn take(&mut self, line: &[u8]) {
        let line = bare(line);
        if !self.is_body {
            self.is_body = line.is_empty();
            if self.is_body {
                self.end_head();
            } else if let Some(header) = self
                .head
                .last_mut()
                .filter(|_| line.starts_with(b" ") || line.starts_with(b"\t"))
            {
                header.extend_from_slice(&[b"\n", line].concat());
            } else {
                self.head.push(line.to_vec());
            }
        } else if line.starts_with(b"diff --git ") || line.starts_with(b"@@ -") {
            self.has_diff = true;
            self.is_quoting = false;
        } else if self.last.as_deref() == Some(line.trim_ascii_end()) {
            self.last = None;
            self.has_diff = true;
        } else if !line.trim_ascii().is_empty() {
            self.is_quoting = is_quoting(line);
        }
    }

    fn end_head(&mut self) {
        for header in std::mem::take(&mut self.head) {
            let Ok((header, _)) = mailparse::parse_header(&header) else {
                continue;
            };
            let value = header.get_value();
            match header.get_key_ref().to_ascii_lowercase().as_str() {
                "subject" => self.tag = Tag::of(&value),
                "content-type" => {
                    let kind = mailparse::parse_content_type(&value);
                    let boundary = kind
                        .params
                        .get("boundary")
                        .filter(|_| kind.mimetype.starts_with("multipart/"));
                    self.last = boundary.map(|boundary| format!("--{boundary}--").into_bytes());
                }
                "content-transfer-encoding" => self.is_base64 = value.trim().eq_ignore_ascii_case("base64"),
                _ => {}
            }
        }
    }

    /// Whether headers that begin here are another mail's, and not ones that this mail quotes.
    pub(super) fn may_end(&self) -> bool {
        let may = if self.is_quoting {
            self.is_passed_on()
        } else {
            self.is_base64 || self.has_diff
        };
        self.is_body && self.last.is_none() && may
    }

    /// Whether a mail follows that this one passes on. An answer only quotes one, and so does a patch.
    pub(super) fn is_passed_on(&self) -> bool {
        let passes = !self.has_diff && (self.tag.is_forward || !(self.tag.is_reply || self.tag.is_patch));
        self.is_quoting && (self.is_split_off || passes)
    }
}

/// Whether a line says that another mail follows.
fn is_quoting(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    if line.len() >= DIGEST_LEN && line.iter().all(|byte| *byte == b'-') {
        return true;
    }
    let line = String::from_utf8_lossy(line).to_lowercase();
    PASSED_ON.contains(&line.trim_matches(['-', ' ']))
}

/// A line without its end.
pub(super) fn bare(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}
