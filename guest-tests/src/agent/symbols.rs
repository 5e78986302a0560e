//! The kernel's symbols, laid out in memory for the host.

use std::fs::File;
use std::io::{BufRead, BufReader};

use guest_wire::symbols;

/// Where the kernel tells them; absent without `CONFIG_KALLSYMS`.
const KALLSYMS: &str = "/proc/kallsyms";

/// The symbols in memory, as long as this lives.
#[derive(Debug, Default)]
pub(crate) struct LaidOut {
    pub(crate) bytes: u64,
    pub(crate) pages: u32,
    /// Never read here: the host looks at it.
    _room: Vec<u8>,
}

impl LaidOut {
    pub(crate) fn new(nonce: u64) -> LaidOut {
        let text = File::open(KALLSYMS).map_or_else(|_| Vec::new(), |file| functions(BufReader::new(file)));
        let laid_out = symbols::lay_out(&text, nonce);
        // The host looks for them at the beginnings of pages.
        let mut room = vec![0; laid_out.len() + symbols::PAGE];
        let start = room.as_ptr().align_offset(symbols::PAGE).min(symbols::PAGE);
        room[start..start + laid_out.len()].copy_from_slice(&laid_out);
        LaidOut {
            bytes: text.len() as u64,
            pages: u32::try_from(laid_out.len() / symbols::PAGE).unwrap_or(u32::MAX),
            // Looked at, so that nobody can find that it is never used.
            _room: std::hint::black_box(room),
        }
    }
}

/// The functions among the symbols, each as a line of address, name and module.
fn functions(mut lines: impl BufRead) -> Vec<u8> {
    let mut found: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        if !matches!(lines.read_until(b'\n', &mut line), Ok(1..)) {
            break;
        }
        if let Some(function) = function(line.trim_ascii_end()) {
            found.push(function);
        }
    }
    // Modules follow the kernel and each other in no order.
    found.sort_by_key(|(address, _)| *address);
    let mut text = Vec::new();
    for (address, name) in found {
        text.extend(format!("{address:x} ").into_bytes());
        text.extend(name);
        text.push(b'\n');
    }
    text
}

/// `ffffffffc0201000 t btrfs_sync_file\t[btrfs]`; none if it is no function, or the address is hidden.
fn function(line: &[u8]) -> Option<(u64, Vec<u8>)> {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let address = u64::from_str_radix(str::from_utf8(words.next()?).ok()?, 16).ok()?;
    let is_text = matches!(words.next()?, b"t" | b"T" | b"w" | b"W");
    let mut name = words.next()?.to_vec();
    if let Some(module) = words.next() {
        name.push(b' ');
        name.extend(module.trim_ascii().iter().filter(|byte| !matches!(byte, b'[' | b']')));
    }
    (is_text && address != 0).then_some((address, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_in_order_with_their_modules() {
        let text = "ffffffff81000000 T _stext\nffffffff82000000 D jiffies\n\
                    ffffffffc0401000 t btrfs_sync_file\t[btrfs]\nffffffffc0201000 t crc_t10dif [crct10dif]\n\
                    0000000000000000 T hidden\nnonsense\n";
        assert_eq!(
            String::from_utf8(functions(text.as_bytes())).unwrap(),
            "ffffffff81000000 _stext\nffffffffc0201000 crc_t10dif crct10dif\n\
             ffffffffc0401000 btrfs_sync_file btrfs\n"
        );
    }
}
