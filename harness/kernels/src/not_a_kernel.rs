//! What a file is that does not boot in our machine, and what to do about it: people name whatever their build left.

use object::elf;

use super::decompress::Compression;

/// Offset of the magic of an arm64 `Image` (Documentation/arch/arm64/booting.rst), and the magic.
const ARM64_AT: usize = 0x38;
const ARM64: &[u8] = b"ARM\x64";
/// Where an old ELF's fields are.
const MACHINE_AT: usize = 18;
const TYPE_AT: usize = 16;
/// Where a tar's first header has its magic, and the magic.
const TAR_AT: usize = 257;
const TAR: &[u8] = b"ustar";
/// What a kernel's banner begins with.
pub(crate) const BANNER: &[u8] = b"Linux version ";

/// What a file is, in words that go on after "it is", with a way out; nothing if nobody knows.
pub(crate) fn what(bytes: &[u8]) -> Option<String> {
    if bytes.is_empty() {
        return Some("empty; name what the build made: arch/x86/boot/bzImage".to_owned());
    }
    if let Some(compression) = Compression::of(bytes) {
        let (name, tool) = match compression {
            Compression::Gzip => ("gzip", "gunzip -k"),
            Compression::Xz => ("xz", "unxz -k"),
            Compression::Lzma => ("lzma", "unlzma -k"),
            Compression::Lz4Legacy => ("lz4", "unlz4 -k"),
            Compression::Zstd => ("Zstandard", "unzstd -k"),
        };
        return Some(format!(
            "compressed by {name}; unpack it (`{tool} FILE`) and name what comes out, or name the bzImage of the same \
            build"
        ));
    }
    if bytes.get(ARM64_AT..ARM64_AT + 4) == Some(ARM64) {
        return Some(foreign("an Image for arm64"));
    }
    if bytes.starts_with(&elf::ELFMAG) {
        return of_elf(bytes);
    }
    if bytes.get(TAR_AT..TAR_AT + TAR.len()) == Some(TAR) {
        return Some("an archive (tar); unpack it and name the kernel in it, like boot/vmlinuz-6.1.9".to_owned());
    }
    let known: [(&[u8], &str); 7] = [
        (
            b"!<arch>\n",
            "a Debian package or an archive (ar); name a package as `package-file` in kernels.toml",
        ),
        (
            b"\xed\xab\xee\xdb",
            "an RPM package; name it as `package-file` in kernels.toml",
        ),
        (
            b"MZ",
            "an EFI program without Linux' boot header; name the bzImage of that kernel",
        ),
        (
            b"070701",
            "an archive of files (cpio), perhaps an initramfs; name the kernel beside it",
        ),
        (b"#!", "a script; name the kernel's image"),
        (b"hsqs", "a squashfs image; name the kernel's image"),
        (
            b"\x27\x05\x19\x56",
            "an image for U-Boot; name the bzImage of an x86_64 build",
        ),
    ];
    let found = known.iter().find(|(magic, _)| bytes.starts_with(magic));
    found.map(|(_, what)| (*what).to_owned())
}

/// The same of an ELF, if it is one of 32 bits; the kernel in a bzImage may be one, too.
pub(crate) fn of_32_bits(bytes: &[u8]) -> Option<String> {
    let is_it = bytes.starts_with(&elf::ELFMAG) && bytes.get(4) == Some(&1);
    is_it.then(|| foreign("an ELF of 32 bits"))
}

fn of_elf(bytes: &[u8]) -> Option<String> {
    if let Some(what) = of_32_bits(bytes) {
        return Some(what);
    }
    let field = |at: usize| Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let (Some(kind), Some(machine)) = (field(TYPE_AT), field(MACHINE_AT)) else {
        return Some(CUT_OFF.to_owned());
    };
    let other = match machine {
        62 => None,
        183 => Some("arm64"),
        40 => Some("arm"),
        21 => Some("ppc64"),
        22 => Some("s390"),
        243 => Some("riscv"),
        258 => Some("loongarch"),
        _ => Some("another machine"),
    };
    if let Some(other) = other {
        return Some(foreign(&format!("an ELF for {other}")));
    }
    if is_cut_off(bytes) {
        return Some(CUT_OFF.to_owned());
    }
    if kind == 1 {
        return Some("an object file or a module; name the kernel itself: vmlinux or arch/x86/boot/bzImage".to_owned());
    }
    let has_banner = bytes.windows(BANNER.len()).any(|window| window == BANNER);
    (!has_banner).then(|| {
        "a program, and no kernel (nothing in it says \"Linux version\"); name vmlinux or arch/x86/boot/bzImage"
            .to_owned()
    })
}

const CUT_OFF: &str = "cut off: its headers tell of more than it has; copy or build it again";

/// Whether a 64-bit ELF's segments or table of sections reach beyond its end.
fn is_cut_off(bytes: &[u8]) -> bool {
    let wide = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let short = |at: usize| Some(u64::from(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?)));
    let ends = || {
        let (segments, sections) = (wide(32)?, wide(40)?);
        let (segment_size, segment_count) = (short(54)?, short(56)?);
        let (section_size, section_count) = (short(58)?, short(60)?);
        let mut end = segments
            .saturating_add(segment_size * segment_count)
            .max(sections.saturating_add(section_size * section_count));
        for segment in 0..segment_count {
            let at = usize::try_from(segments.saturating_add(segment * segment_size)).ok()?;
            end = end.max(wide(at.checked_add(8)?)?.saturating_add(wide(at.checked_add(32)?)?));
        }
        Some(end)
    };
    ends().is_none_or(|end| end > bytes.len() as u64)
}

fn foreign(what: &str) -> String {
    format!("{what}, and our machine is x86_64; name a kernel that was built with ARCH=x86_64")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF header of this class, type and machine, with a banner behind it.
    fn elf(class: u8, kind: u8, machine: u8) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, 1, 1]);
        bytes[TYPE_AT] = kind;
        bytes[MACHINE_AT] = machine;
        bytes.extend(b"Linux version 6.1.9 (gcc)");
        bytes
    }

    #[test]
    fn what_people_name_is_known() {
        let mut arm64 = vec![0; 64];
        arm64[ARM64_AT..ARM64_AT + 4].copy_from_slice(ARM64);
        let mut sections_beyond = elf(2, 2, 62);
        sections_beyond[40..48].copy_from_slice(&4096_u64.to_le_bytes());
        for (bytes, says) in [
            (vec![], "empty"),
            (
                vec![0x1f, 0x8b, 8, 0],
                "compressed by gzip; unpack it (`gunzip -k FILE`)",
            ),
            (vec![0x28, 0xb5, 0x2f, 0xfd], "compressed by Zstandard"),
            (arm64, "an Image for arm64, and our machine is x86_64"),
            (elf(2, 2, 183), "an ELF for arm64"),
            (elf(2, 2, 250), "an ELF for another machine"),
            (elf(1, 2, 3), "an ELF of 32 bits"),
            (elf(2, 1, 62), "a module"),
            (elf(2, 2, 62)[..18].to_vec(), "cut off"),
            (sections_beyond, "cut off"),
            (elf(2, 2, 62)[..64].to_vec(), "a program, and no kernel"),
            (b"!<arch>\ndebian-binary".to_vec(), "as `package-file` in kernels.toml"),
            (
                b"\xed\xab\xee\xdb\x03".to_vec(),
                "an RPM package; name it as `package-file`",
            ),
            (
                [vec![b'a'; 257], b"ustar\0".to_vec()].concat(),
                "an archive (tar); unpack it",
            ),
            (b"MZ\0\0".to_vec(), "an EFI program"),
            (b"070701000".to_vec(), "perhaps an initramfs"),
        ] {
            let what = what(&bytes).unwrap_or_default();
            assert!(what.starts_with(says) || what.contains(says), "{says}: {what}");
        }
        assert_eq!(what(&elf(2, 2, 62)), None, "a kernel");
        assert_eq!(what(b"nobody knows"), None);
    }
}
