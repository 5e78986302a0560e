//! The transfer encodings of mails, decoded so that every byte of a patch is kept.

/// Base64, up to what is none: lists put their own lines below it. Whether it ends where its sender's does.
pub(super) fn base64(text: &[u8]) -> (Vec<u8>, bool) {
    let is_of_it = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).collect();
    let end = lines.iter().position(|line| !line.iter().all(is_of_it));
    let (its, rest) = lines.split_at(end.unwrap_or(lines.len()));
    let mut bytes = Vec::new();
    let (mut value, mut bits) = (0_u32, 0);
    for digit in its.iter().copied().flatten() {
        let digit = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            // What follows begins anew.
            _ => {
                bits = 0;
                continue;
            }
        };
        value = (value << 6 | u32::from(digit)) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((value >> bits & 0xff) as u8);
        }
    }
    let footer = rest.first().copied().unwrap_or_default();
    let first = its.iter().find(|line| !line.is_empty()).map_or(0, |line| line.len());
    // Only the last line is padded, or shorter than the others.
    let is_last = |line: &&[u8]| line.len() < first || line.ends_with(b"=");
    let is_whole = rest.is_empty()
        || [&b"__"[..], b"--"].iter().any(|word| footer.starts_with(word))
        || its.last().is_some_and(is_last);
    (bytes, is_whole)
}

/// Quoted-printable as git decodes it: what is not encoded stays as it is.
pub(super) fn quoted_printable(text: &[u8]) -> Vec<u8> {
    let hex = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'=' {
            bytes.push(*byte);
        } else if let (Some(high), Some(low)) = (hex(after.first()), hex(after.get(1))) {
            bytes.push((high * 16 + low) as u8);
            rest = &after[2..];
        } else if let Some(next) = after.iter().position(|byte| *byte == b'\n')
            && after[..next].trim_ascii().is_empty()
        {
            // The line goes on.
            rest = &after[next + 1..];
        } else if !after.is_empty() {
            bytes.push(b'=');
        }
    }
    bytes
}

/// A text of `format=flowed` without the blanks and line ends that its sender's program added, as git undoes it.
/// `is_delsp`: the blank before such a line end was added as well.
pub(super) fn unflowed(text: &[u8], is_delsp: bool) -> Vec<u8> {
    let (mut out, mut flowing) = (Vec::new(), Vec::new());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let bare = line.strip_suffix(b"\n").unwrap_or(line);
        let bare = bare.strip_suffix(b"\r").unwrap_or(bare);
        if bare == b"-- " {
            out.append(&mut flowing);
            out.extend_from_slice(line);
            continue;
        }
        let stuffed = usize::from(bare.starts_with(b" "));
        let bare = &bare[stuffed..];
        if bare.ends_with(b" ") {
            flowing.extend_from_slice(&bare[..bare.len() - usize::from(is_delsp)]);
            continue;
        }
        out.append(&mut flowing);
        out.extend_from_slice(&line[stuffed..]);
    }
    out.append(&mut flowing);
    out
}

/// A text without the dashes that OpenPGP puts before lines that begin with one.
pub(super) fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut is_signed = false;
    let lines = text.split_inclusive(|byte| *byte == b'\n').map(|line| {
        match line.trim_ascii_end() {
            b"-----BEGIN PGP SIGNED MESSAGE-----" => is_signed = true,
            b"-----BEGIN PGP SIGNATURE-----" => is_signed = false,
            _ => {}
        }
        line.strip_prefix(b"- ").filter(|_| is_signed).unwrap_or(line)
    });
    lines.flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_keep_every_byte() {
        let read = |text: &str| {
            let (bytes, is_whole) = base64(text.as_bytes());
            (String::from_utf8(bytes).unwrap(), is_whole)
        };
        let whole = |text: &str| (text.to_owned(), true);
        assert_eq!(
            read("aGVsbG8s\r\nIHdvcmxk\r\n_____\nlist footer\n"),
            whole("hello, world")
        );
        assert_eq!(read("aGVsbG8s\nIQ==\nlist footer\n"), whole("hello,!"));
        assert_eq!(read("aGVsbG8s\nIHdv\n\nlist footer\n"), whole("hello, wo"));
        assert_eq!(read("aGVsbG8s\n*Hdvcmxk\n"), ("hello,".to_owned(), false));
        assert_eq!(read("*Hdvcmxk\n"), (String::new(), false));
        assert_eq!(read("YQ==\n"), whole("a"));
        assert_eq!(read("YQ==\nYWI=\n"), whole("aab"));
        assert_eq!(quoted_printable(b"a =3D=\r\n b \xfc=\n=zz=20\n"), b"a = b \xfc=zz \n");
    }

    #[test]
    fn what_mail_programs_add_is_undone() {
        let flowed = |text: &str, is_delsp| String::from_utf8(unflowed(text.as_bytes(), is_delsp)).unwrap();
        assert_eq!(
            flowed("  context\n-a \nb\r\n >q\n-- \n2\n", false),
            " context\n-a b\r\n>q\n-- \n2\n"
        );
        assert_eq!(
            (flowed("a \nb \n", false).as_str(), flowed("a \nb", true).as_str()),
            ("a b ", "ab")
        );
        let begin = "-----BEGIN PGP SIGNED MESSAGE-----\n";
        let signed = format!("- x\n{begin}- -a\n -b\n-----BEGIN PGP SIGNATURE-----\n- y\n");
        let plain = format!("- x\n{begin}-a\n -b\n-----BEGIN PGP SIGNATURE-----\n- y\n");
        assert_eq!(unescaped(signed.as_bytes()), plain.as_bytes());
    }
}
