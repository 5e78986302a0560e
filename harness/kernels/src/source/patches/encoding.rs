//! The transfer encodings of mails, decoded so that every byte of a patch is kept.

/// Base64, up to what is none: lists put their own lines below it.
pub(super) fn base64(text: &[u8]) -> Vec<u8> {
    let is_of_it = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let lines = lines.take_while(|line| line.iter().all(is_of_it));
    let digits = lines.flatten().filter(|byte| **byte != b'=');
    let mut bytes = Vec::new();
    let (mut value, mut bits) = (0_u32, 0);
    for digit in digits {
        let digit = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        value = (value << 6 | u32::from(digit)) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((value >> bits & 0xff) as u8);
        }
    }
    bytes
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_keep_every_byte() {
        assert_eq!(base64(b"aGVsbG8s\r\nIHdvcmxk\r\n_____\nlist footer\n"), b"hello, world");
        assert_eq!(base64(b"YQ==\n"), b"a");
        assert_eq!(quoted_printable(b"a =3D=\r\n b \xfc=\n=zz=20\n"), b"a = b \xfc=zz \n");
    }
}
