//! Mailboxes: where one mail ends and the next begins, and what is a mail at all.

use super::current::{Current, bare};

/// Letters of `From A Thu Jan  1 00:00:00 1970`, at least.
const FROM_LEN_MIN: usize = 20;
/// Headers of which each mail has one.
const OF_MAIL: [&str; 2] = ["subject", "from"];

/// Headers at the start of a text.
struct Head {
    /// Where they begin: after a mailbox's line of its own.
    start: usize,
    /// Where they end; an empty line may follow.
    end: usize,
    /// Their names, in lower case.
    names: Vec<String>,
}

/// Whether a text begins as a mail or a mailbox does.
pub(super) fn is_mail(text: &[u8]) -> bool {
    let text = trimmed(text);
    is_from(text.split(|byte| *byte == b'\n').next().unwrap_or_default()) || is_head(text)
}

/// The mails of a mailbox, in its order; also of mails that somebody wrote one after another without lines between.
pub(super) fn split(text: &[u8]) -> Vec<&[u8]> {
    let text = trimmed(text);
    let mut starts = vec![0];
    let mut current = Current::default();
    // Where headers end of which it is known that no mail begins with them.
    let (mut at, mut known) = (0, 0);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let mut begins = is_from(line);
        if !begins && at >= known && current.may_end() {
            match is_next(&text[at..], current.is_passed_on()) {
                Ok(()) => begins = true,
                Err(len) => known = at + len,
            }
        }
        if at > 0 && begins {
            starts.push(at);
            current = Current::after(current.is_passed_on() && !is_from(line));
        }
        current.take(line);
        at += line.len();
    }
    starts.push(text.len());
    let ranges = starts.windows(2).map(|ends| &text[ends[0]..ends[1]]);
    ranges.filter(|mail| !trimmed(mail).is_empty()).collect()
}

/// A mail as a parser of mails takes it: headers, an empty line, the rest. None if it has no headers.
pub(super) fn normal(mail: &[u8]) -> Option<Vec<u8>> {
    let head = head(mail)?;
    let rest = &mail[head.end..];
    let rest = rest
        .strip_prefix(b"\r\n")
        .or_else(|| rest.strip_prefix(b"\n"))
        .unwrap_or(rest);
    let headers = mail[head.start..head.end].split_inclusive(|byte| *byte == b'\n');
    let mut normal: Vec<u8> = headers.flat_map(|line| [bare(line), b"\n"].concat()).collect();
    normal.push(b'\n');
    normal.extend_from_slice(rest);
    Some(normal)
}

/// Whether a text begins with the headers of a whole mail; if not, how long they are. `is_passed_on`: as somebody
/// quotes them.
fn is_next(text: &[u8], is_passed_on: bool) -> Result<(), usize> {
    // What is no header at all is most of a text.
    let mut line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.starts_with(b"From ") {
        let rest = text.get(line.len() + 1..).unwrap_or_default();
        line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    }
    if !is_header(line) {
        return Err(0);
    }
    let Some(head) = head(text) else { return Err(0) };
    let has = |name: &str| head.names.iter().any(|known| known == name);
    // Outlook quotes a mail with the day on which it was sent.
    let is_quote = has("sent") && !has("date") && !has("message-id");
    let is_dated = has("from") || has("date") || has("message-id");
    let is_mail = has("subject") && (is_dated || is_patch(&text[head.start..head.end]));
    if is_mail && (is_passed_on || !is_quote) {
        Ok(())
    } else {
        Err(head.end)
    }
}

fn is_patch(headers: &[u8]) -> bool {
    headers.windows(6).any(|bytes| bytes.eq_ignore_ascii_case(b"[patch"))
}

fn is_head(text: &[u8]) -> bool {
    head(text).is_some_and(|head| OF_MAIL.iter().any(|name| head.names.iter().any(|known| known == name)))
}

fn head(text: &[u8]) -> Option<Head> {
    let mut head = Head {
        start: 0,
        end: 0,
        names: Vec::new(),
    };
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let plain = bare(line);
        let is_more = plain.starts_with(b" ") || plain.starts_with(b"\t");
        if head.names.is_empty() && (plain.starts_with(b"From ") || plain.starts_with(b">From ")) {
            head.start = head.end + line.len();
        } else if is_header(plain) {
            let name = plain.split(|byte| *byte == b':').next().unwrap_or_default();
            head.names.push(String::from_utf8_lossy(name).to_ascii_lowercase());
        } else if head.names.is_empty() || !is_more {
            break;
        }
        head.end += line.len();
    }
    (!head.names.is_empty()).then_some(head)
}

/// `Name: …`.
fn is_header(line: &[u8]) -> bool {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return false;
    };
    let name = &line[..colon];
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    name.first().is_some_and(u8::is_ascii_alphabetic) && name.iter().all(is_of_name)
}

/// A line that begins a mail in a mailbox, as git sees it: `From `, and a time and a year somewhere after it.
fn is_from(line: &[u8]) -> bool {
    if !line.starts_with(b"From ") || line.len() < FROM_LEN_MIN {
        return false;
    }
    let digit = |at: usize| line.get(at).is_some_and(u8::is_ascii_digit);
    let has_time = (6..line.len()).any(|at| line[at] == b':' && digit(at - 1) && digit(at + 1));
    let words = line.split(u8::is_ascii_whitespace);
    let has_year = words.skip(2).any(|word| {
        let year = std::str::from_utf8(word).ok().and_then(|word| word.parse::<u32>().ok());
        year.is_some_and(|year| year > 90)
    });
    has_time && has_year
}

/// Without empty lines, and what editors put, before the first word.
pub(super) fn trimmed(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: &str = "From git@z Thu Jan  1 00:00:00 1970\n";
    const DIFF: &str = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n-- \n2.40.1\n";

    fn count(text: &str) -> usize {
        split(text.as_bytes()).len()
    }

    #[test]
    fn mails_are_told_from_what_they_quote() {
        let mail = |n: u32| format!("From: J <j@x>\nSubject: [PATCH {n}/2] x\n\nHi.\n\n{DIFF}\n");
        assert_eq!(count(&format!("{FROM}{}{FROM}{}", mail(1), mail(2))), 2);
        // Without lines between them, or with ones that say no time.
        assert_eq!(
            count(&format!("From j\n{}From j\n{}", mail(1), mail(2).trim_start())),
            2
        );
        assert_eq!(count(&(mail(1).trim_end().to_owned() + "\n" + &mail(2))), 2);
        assert_eq!(count(&format!("{}{}", mail(1), mail(2))), 2);
        assert_eq!(
            count(&format!(
                "Subject: [PATCH 1/2] x\n\n{DIFF}\nSubject: [PATCH 2/2] y\n\n{DIFF}"
            )),
            2
        );
        // An author of its own at the top of the body, and words that only look like a mailbox's.
        let quoting =
            format!("{FROM}From: J <j@x>\nSubject: x\n\nFrom: A <a@x>\nSubject: y\n\nFrom what I see: 12:30\n{DIFF}");
        assert_eq!(count(&quoting), 1);
        let forwarded = "From: J\nSubject: x\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n@@ -1 +1 @@\n\n--b\n\
                         Content-Type: message/rfc822\n\nFrom: A\nSubject: y\n\nHi\n--b--\n";
        assert_eq!(count(forwarded), 1);
        assert_eq!(count(&format!("{forwarded}\n{}", mail(2))), 2);
        // Lines of dashes are no end of parts, and what they are said to end is known.
        let dashes = |text: &str| format!("{FROM}{}\n{FROM}{}", mail(1), mail(2).replace("Hi.", text));
        for text in [
            "-----\nFrom: A\nSubject: y",
            "-- >8 --\nFrom: A\nSubject: y",
            "--- log ---\nFrom: A\nSubject: y",
        ] {
            assert_eq!(count(&dashes(text)), 2, "{text}");
        }
        let inner = forwarded
            .replace("message/rfc822\n", "text/plain\n")
            .replace("Hi", "--x--");
        assert_eq!(count(&inner), 1);
        // An answer and a patch quote a mail, and others pass it on.
        let outer = |subject: &str, line: &str| format!("From: J\nSubject: {subject}\n\nSee.\n\n{line}\n\n{}", mail(1));
        for (subject, line, wanted) in [
            ("Re: x", "-----Original Message-----", 1),
            ("[PATCH] x", "-----Original Message-----", 1),
            ("Fwd: x", "-------- Forwarded Message --------", 2),
            ("two patches", "Begin forwarded message:", 2),
            ("L Digest, Vol 1", &"-".repeat(30), 2),
            ("two patches", "------", 1),
        ] {
            assert_eq!(count(&outer(subject, line)), wanted, "{subject} {line}");
        }
        let line = "-------- Forwarded Message --------";
        assert_eq!(count(&format!("{}\n{line}\n{}", outer("Fwd: x", line), mail(2))), 3);
        let sent = mail(1).replace("Subject:", "Sent: Monday\nSubject:");
        assert_eq!(
            count(&format!("{}\n{sent}", mail(2).replace("Subject: ", "Subject: Re: "))),
            1
        );
        let packed = "From: J\nSubject: x\nContent-Transfer-Encoding: base64\n\naGk=\n";
        assert_eq!(count(&format!("{packed}{packed}")), 2);
    }

    #[test]
    fn what_is_a_mail_begins_with_its_headers() {
        for text in [
            "Subject: x\n\n",
            "\n\nReceived: a\n b\nFrom: c\n\n",
            FROM,
            "\u{feff}Subject: x\ndiff --git",
        ] {
            assert!(is_mail(text.as_bytes()), "{text}");
        }
        for text in [
            "",
            "btrfs: x\n\nFrom: c\n",
            "SPDX-License-Identifier: GPL-2.0-only\n\nx\n",
            "From here on: 1\n",
        ] {
            assert!(!is_mail(text.as_bytes()), "{text}");
        }
        let normal = |text: &str| String::from_utf8(normal(text.as_bytes()).unwrap()).unwrap();
        assert_eq!(normal("Subject: x\r\n y\r\n\r\nz\r\n"), "Subject: x\n y\n\nz\r\n");
        assert_eq!(normal("Subject: x\ndiff --git\n"), "Subject: x\n\ndiff --git\n");
        assert_eq!(normal(&format!("{FROM}>From a\nTo: b\n\nc\n")), "To: b\n\nc\n");
    }

    #[test]
    fn many_lines_like_headers_are_read_once() {
        // Where no mail begins, all of the lines are passed over at once.
        let lines = "Name: value\n".repeat(20_000);
        assert_eq!(
            is_next(format!("{lines}\nSubject: x\n").as_bytes(), false),
            Err(lines.len())
        );
        let text = format!("{FROM}Subject: x\n\n{DIFF}{lines}");
        assert_eq!(count(&text), 1);
        assert_eq!(
            count(&format!("{text}\nFrom: J <j@x>\nSubject: [PATCH] y\n\n{DIFF}")),
            2
        );
    }
}
