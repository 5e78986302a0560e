//! The functions of a guest's kernel by their addresses: kept when it has booted, for a time when it cannot be asked
//! any more. Addresses are those of this boot (KASLR), with its modules.

use std::cell::OnceCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Instant;

use guest_wire::symbols::{self, PAGE, ROOM};
use guest_wire::{GuestMessage, HostMessage};

use crate::line::Line;
use crate::{agent::Incoming, outage::Outage};

/// Functions in the order of their addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Symbols {
    starts: Vec<u64>,
    /// Up to where each may reach.
    ends: Vec<u64>,
    names: Vec<String>,
}

impl Symbols {
    /// Reads the text that an agent lays out: a line a function, address, name and perhaps module.
    pub(crate) fn read(text: &str) -> Symbols {
        let mut found = Symbols::default();
        let mut before = "";
        for line in text.lines() {
            let mut words = line.split(' ');
            let address = words.next().and_then(|word| u64::from_str_radix(word, 16).ok());
            let (Some(address), Some(name)) = (address, words.next()) else {
                continue;
            };
            let module = words.next().unwrap_or_default();
            if let Some(end) = found.ends.last_mut() {
                // After a module's last function there may be another module, loaded later; it begins with a page.
                let within = if module == before { address } else { address.min(*end) };
                *end = within;
            }
            before = module;
            found.starts.push(address);
            found.ends.push((address | (PAGE as u64 - 1)).saturating_add(1));
            found.names.push(name.to_owned());
        }
        found
    }

    /// The function that an address lies in.
    pub(crate) fn function(&self, address: u64) -> Option<&str> {
        let after = self.starts.partition_point(|start| *start <= address);
        let at = after.checked_sub(1)?;
        (address < self.ends[at]).then(|| self.names[at].as_str())
    }

    /// The function that a call returns to here; none for the first byte of one, which no call returns to.
    pub(crate) fn caller(&self, address: u64) -> Option<&str> {
        self.function(address.checked_sub(1)?)
            .filter(|_| self.function(address).is_some())
    }
}

/// A kernel's functions, read only when they are needed.
#[derive(Default)]
pub(crate) struct SymbolText {
    text: String,
    read: OnceCell<Symbols>,
}

impl From<String> for SymbolText {
    fn from(text: String) -> SymbolText {
        SymbolText {
            text,
            read: OnceCell::new(),
        }
    }
}

impl SymbolText {
    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub(crate) fn get(&self) -> &Symbols {
        self.read.get_or_init(|| Symbols::read(&self.text))
    }
}

/// Asks an agent that waits for orders for its kernel's symbols, and reads them out of the memory of its QEMU; empty if
/// the kernel tells none. None if the line was closed.
pub(crate) fn fetch(line: &mut Line, qemu: u32, deadline: Instant) -> Result<Option<String>, Outage> {
    let rig = |what: &str, error: &dyn std::fmt::Display| Outage::Rig(format!("{what}: {error}"));
    let mut nonce = [0u8; 8];
    File::open("/dev/urandom")
        .and_then(|random| random.read_exact_at(&mut nonce, 0))
        .map_err(|error| rig("no random number", &error))?;
    let nonce = u64::from_ne_bytes(nonce);
    line.send(&HostMessage::LayOutSymbols { nonce })
        .map_err(|error| rig("the guest cannot be asked for its symbols", &error))?;
    loop {
        match line.next(deadline) {
            Some(Incoming::Message(GuestMessage::Symbols { bytes: 0, .. })) => return Ok(Some(String::new())),
            Some(Incoming::Message(GuestMessage::Symbols { pages, bytes })) => {
                let text = memory_of(qemu).and_then(|memory| collect(&memory, nonce, pages, bytes));
                // Without them a hang may go without a name, which is no reason to give the machine up.
                return Ok(Some(text.unwrap_or_else(|error| format!("# {error}\n"))));
            }
            Some(Incoming::Message(GuestMessage::Unfit { reason })) => return Err(Outage::Unfit(reason)),
            Some(Incoming::Message(_) | Incoming::Noise(_)) => {}
            Some(Incoming::Closed) => return Ok(None),
            None => return Err(Outage::NoHello),
        }
    }
}

/// The guest's memory: a file without a name that QEMU has open.
fn memory_of(qemu: u32) -> io::Result<File> {
    let is_memory = |link: PathBuf| {
        let name = link.to_string_lossy().into_owned();
        name.starts_with("/memfd:memory-backend") || name.starts_with("/memfd:guest-memory")
    };
    for entry in std::fs::read_dir(format!("/proc/{qemu}/fd"))?.flatten() {
        if std::fs::read_link(entry.path()).is_ok_and(is_memory) {
            return File::open(entry.path());
        }
    }
    Err(io::Error::new(
        io::ErrorKind::NotFound,
        "QEMU has no memory that could be read",
    ))
}

/// Finds the pages that an agent laid out.
fn collect(memory: &File, nonce: u64, pages: u32, bytes: u64) -> io::Result<String> {
    /// Read at once.
    const PIECE: usize = 256 * PAGE;
    let end = memory.metadata()?.len();
    if u64::from(pages) > end / PAGE as u64 {
        // The guest is not to say how much memory is taken here.
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the guest has no room for the {pages} pages of them that it speaks of"),
        ));
    }
    let mut found: Vec<Option<Vec<u8>>> = vec![None; pages as usize];
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    while at < end {
        // Most of the memory was never touched.
        at = match rustix::fs::seek(memory, rustix::fs::SeekFrom::Data(at)) {
            Ok(begin) => begin - begin % PAGE as u64,
            Err(rustix::io::Errno::NXIO) => break,
            Err(errno) => return Err(errno.into()),
        };
        let length = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
        memory.read_exact_at(&mut piece[..length], at)?;
        for (number, text) in piece[..length]
            .chunks_exact(PAGE)
            .filter_map(|page| symbols::page(page, nonce))
        {
            if let Some(place) = usize::try_from(number).ok().and_then(|number| found.get_mut(number)) {
                *place = Some(text.to_vec());
            }
        }
        at += length as u64;
    }
    let missing = || {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "a page of them is not in the guest's memory",
        )
    };
    let mut text = Vec::with_capacity(found.len() * ROOM);
    for page in found {
        text.extend(page.ok_or_else(missing)?);
    }
    text.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
    String::from_utf8(text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const TEXT: &str = "ffffffff81000000 _stext\nffffffff81000100 schedule\nffffffffc0401000 btrfs_sync_file btrfs\n";

    #[test]
    fn an_address_is_in_the_function_below_it() {
        let symbols = Symbols::read(TEXT);
        assert_eq!(symbols.function(0xffff_ffff_8100_0100), Some("schedule"));
        assert_eq!(symbols.function(0xffff_ffff_8100_00ff), Some("_stext"));
        assert_eq!(symbols.function(0xffff_ffff_c040_1017), Some("btrfs_sync_file"));
        // Another module follows, of which nothing is known.
        assert_eq!(symbols.function(0xffff_ffff_c040_2000), None);
        assert_eq!(symbols.function(0xffff_ffff_8100_1000), None);
        assert_eq!(symbols.function(0x40_1000), None);
        // After a call that never returns a function may be over.
        assert_eq!(symbols.caller(0xffff_ffff_8100_0100), Some("_stext"));
        assert_eq!(symbols.caller(0xffff_ffff_8100_0000), None);
        assert_eq!(Symbols::default().function(7), None);
    }

    #[test]
    fn pages_are_found_wherever_they_lie() {
        let text = "0123456789abcdef function\n".repeat(700);
        let mut pages: Vec<Vec<u8>> = symbols::lay_out(text.as_bytes(), 9)
            .chunks(PAGE)
            .map(<[u8]>::to_vec)
            .collect();
        pages.reverse();
        let mut memory = tempfile::tempfile().unwrap();
        for page in &pages {
            memory.write_all(&[0; PAGE]).unwrap();
            memory.write_all(page).unwrap();
        }
        memory.set_len(64 << 20).unwrap();
        let (count, bytes) = (u32::try_from(pages.len()).unwrap(), text.len() as u64);
        assert_eq!(collect(&memory, 9, count, bytes).unwrap(), text);
        assert!(collect(&memory, 8, count, bytes).is_err());
        let error = collect(&memory, 9, u32::MAX, bytes).unwrap_err().to_string();
        assert!(error.contains("4294967295 pages"), "{error}");
    }
}
