//! The uncompressed kernel inside a bzImage.
//!
//! QEMU boots an ELF with a PVH note directly: no boot sector, no decompression in the guest, which under emulation is
//! the slowest part of a boot. The boot protocol says where the payload is (Documentation/arch/x86/boot.rst).

use object::Endianness;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader, ProgramHeader};

use super::decompress::Compression;
use super::not_a_kernel::{self, BANNER};

/// Offset of the boot protocol's magic, and the magic.
const MAGIC_AT: usize = 0x202;
const MAGIC: &[u8] = b"HdrS";
const SETUP_SECTS_AT: usize = 0x1f1;
const VERSION_AT: usize = 0x206;
const KERNEL_VERSION_AT: usize = 0x20e;
const PAYLOAD_AT: usize = 0x248;
/// The protocol's first version that tells where the payload is.
const PAYLOAD_VERSION_MIN: u16 = 0x0208;
/// XEN_ELFNOTE_PHYS32_ENTRY: where a PVH boot enters.
const PVH_NOTE: object::elf::NoteType = object::elf::NoteType(18);

/// Why there is no uncompressed kernel to be had from an image.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// The image is neither a bzImage nor an ELF.
    #[error(
        "neither a bzImage (no boot header) nor an ELF vmlinux; name what a build left: arch/x86/boot/bzImage or vmlinux"
    )]
    NotAKernel,
    /// It is something else, or a kernel for something else.
    #[error("it is {what}")]
    Other {
        /// What it is, and what to do.
        what: String,
    },
    /// The boot header is from before 2.6.25.
    #[error(
        "the image's boot protocol {major}.{minor:02} does not tell where the kernel is",
        major = version >> 8, minor = version & 0xff
    )]
    TooOld {
        /// The protocol's version.
        version: u16,
    },
    /// The header points outside of the file.
    #[error("the image is cut off: its header tells of {expected} bytes, it has {found}")]
    CutOff {
        /// Bytes that there should be.
        expected: usize,
        /// Bytes that there are.
        found: usize,
    },
    /// A release names a directory of modules.
    #[error("the release that it says is `{}`, which cannot name a directory of modules; build it again", release.escape_debug())]
    BadRelease {
        /// As its header or its banner has it.
        release: String,
    },
    /// The compression is not one that this program knows.
    #[error("the kernel in the image is compressed in an unknown way (it begins with {start:02x?})")]
    UnknownCompression {
        /// The first bytes.
        start: Vec<u8>,
    },
    /// The payload is damaged.
    #[error("cannot decompress the kernel in the image")]
    Damaged(#[source] std::io::Error),
    /// The payload is no ELF, or has no PVH entry.
    #[error("the kernel has no PVH entry (it was built without CONFIG_PVH)")]
    NoPvh,
}

/// The uncompressed kernel in an image (a bzImage, or an ELF as it is), if it can be booted through PVH.
///
/// # Errors
/// It cannot be found, decompressed, or booted so.
pub(crate) fn pvh_kernel(image: &[u8]) -> Result<Vec<u8>, PayloadError> {
    let is_elf = image.starts_with(&object::elf::ELFMAG);
    let has_header = image.get(MAGIC_AT..MAGIC_AT + 4) == Some(MAGIC);
    if let Some(what) = (!has_header).then(|| not_a_kernel::what(image)).flatten() {
        return Err(PayloadError::Other { what });
    }
    let vmlinux = if is_elf { image.to_vec() } else { extract(image)? };
    if let Some(what) = not_a_kernel::of_32_bits(&vmlinux) {
        return Err(PayloadError::Other { what });
    }
    if has_pvh_note(&vmlinux) {
        Ok(vmlinux)
    } else if is_elf {
        let what = "an ELF without a PVH entry (it was built without CONFIG_PVH); name the bzImage of the same build, \
            which boots without one, or build it with CONFIG_PVH=y";
        Err(PayloadError::Other { what: what.to_owned() })
    } else {
        Err(PayloadError::NoPvh)
    }
}

/// The kernel's release (`6.1.0-50-cloud-amd64`) as a bzImage's header tells it.
#[must_use]
pub(crate) fn release(image: &[u8]) -> Option<String> {
    if image.get(MAGIC_AT..MAGIC_AT + 4)? != MAGIC {
        return None;
    }
    let at = usize::from(u16_at(image, KERNEL_VERSION_AT)?) + 0x200;
    let text = image.get(at..)?.split(|&byte| byte == 0).next()?;
    std::str::from_utf8(text)
        .ok()?
        .split(' ')
        .next()
        .filter(|release| !release.is_empty())
        .map(str::to_owned)
}

/// The release in an ELF kernel's banner.
#[must_use]
pub(crate) fn release_of_elf(vmlinux: &[u8]) -> Option<String> {
    let behind = |(at, window): (usize, &[u8])| (window == BANNER).then(|| vmlinux.get(at + BANNER.len()..)).flatten();
    // Others speak of Linux' version as well: `Linux version %s`.
    let is_release = |text: &&[u8]| text.first().is_some_and(u8::is_ascii_digit);
    let mut found = vmlinux.windows(BANNER.len()).enumerate().filter_map(behind);
    let text = found.find(is_release)?.split(|&byte| byte == b' ').next()?;
    std::str::from_utf8(text).ok().map(str::to_owned)
}

/// Whether the driver of virtio disks is built into a kernel: its name is then among the constants.
#[must_use]
pub(crate) fn has_driver_of_disk(vmlinux: &[u8]) -> bool {
    const NAME: &[u8] = b"virtio_blk\0";
    vmlinux.windows(NAME.len()).any(|window| window == NAME)
}

fn extract(image: &[u8]) -> Result<Vec<u8>, PayloadError> {
    if image.get(MAGIC_AT..MAGIC_AT + 4) != Some(MAGIC) {
        return Err(PayloadError::NotAKernel);
    }
    let cut_off = |expected| PayloadError::CutOff {
        expected,
        found: image.len(),
    };
    let version = u16_at(image, VERSION_AT).ok_or(cut_off(PAYLOAD_AT))?;
    if version < PAYLOAD_VERSION_MIN {
        return Err(PayloadError::TooOld { version });
    }
    // 0 stands for 4 for the sake of loaders older than this field.
    let setup_sects = match image[SETUP_SECTS_AT] {
        0 => 4,
        sects => usize::from(sects),
    };
    let field = |at| {
        u32_at(image, at)
            .and_then(|value| usize::try_from(value).ok())
            .ok_or(cut_off(PAYLOAD_AT + 8))
    };
    let start = (setup_sects + 1) * 512 + field(PAYLOAD_AT)?;
    let end = start.saturating_add(field(PAYLOAD_AT + 4)?);
    let payload = image.get(start..end).ok_or(cut_off(end))?;
    match Compression::of(payload) {
        Some(compression) => compression.decompress(payload).map_err(PayloadError::Damaged),
        None if payload.starts_with(&object::elf::ELFMAG) => Ok(payload.to_vec()),
        None => Err(PayloadError::UnknownCompression {
            start: payload.iter().take(6).copied().collect(),
        }),
    }
}

fn has_pvh_note(vmlinux: &[u8]) -> bool {
    let Ok(header) = FileHeader64::<Endianness>::parse(vmlinux) else {
        return false;
    };
    let Ok(endian) = header.endian() else { return false };
    let Ok(segments) = header.program_headers(endian, vmlinux) else {
        return false;
    };
    segments.iter().any(|segment| {
        let Ok(Some(mut notes)) = segment.notes(endian, vmlinux) else {
            return false;
        };
        std::iter::from_fn(|| notes.next().ok().flatten())
            .any(|note| note.name() == b"Xen" && note.n_type(endian) == PVH_NOTE)
    })
}

fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    data.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A little ELF with one note segment of this type.
    fn elf(note: u32) -> Vec<u8> {
        let mut elf = vec![0; 64 + 56];
        elf[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1]);
        elf[16..20].copy_from_slice(&[2, 0, 62, 0]);
        elf[20] = 1;
        elf[32..40].copy_from_slice(&64_u64.to_le_bytes());
        elf[52..58].copy_from_slice(&[64, 0, 56, 0, 1, 0]);
        elf[64..68].copy_from_slice(&4_u32.to_le_bytes());
        elf[72..80].copy_from_slice(&120_u64.to_le_bytes());
        elf[96..104].copy_from_slice(&20_u64.to_le_bytes());
        elf[112..120].copy_from_slice(&4_u64.to_le_bytes());
        for word in [4, 4, note] {
            elf.extend(word.to_le_bytes());
        }
        elf.extend(b"Xen\0\x01\x02\x03\x04");
        elf
    }

    fn bz_image(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 3 * 512];
        image[SETUP_SECTS_AT] = 2;
        image[MAGIC_AT..MAGIC_AT + 4].copy_from_slice(MAGIC);
        image[VERSION_AT..VERSION_AT + 2].copy_from_slice(&0x020f_u16.to_le_bytes());
        image[KERNEL_VERSION_AT..KERNEL_VERSION_AT + 2].copy_from_slice(&0x100_u16.to_le_bytes());
        image[0x300..0x310].copy_from_slice(b"6.1.0-x (a@b) #1");
        image[PAYLOAD_AT..PAYLOAD_AT + 4].copy_from_slice(&16_u32.to_le_bytes());
        image[PAYLOAD_AT + 4..PAYLOAD_AT + 8].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
        image.extend([0xcc; 16]);
        image.extend(payload);
        image
    }

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(data).unwrap();
        gzip.finish().unwrap()
    }

    #[test]
    fn a_compressed_kernel_is_taken_out() {
        let mut vmlinux = elf(PVH_NOTE.0);
        vmlinux.extend(b"Linux version 6.1.0-x (gcc)");
        assert_eq!(pvh_kernel(&bz_image(&gzip(&vmlinux))).unwrap(), vmlinux);
        assert_eq!(pvh_kernel(&bz_image(&vmlinux)).unwrap(), vmlinux);
        assert_eq!(pvh_kernel(&vmlinux).unwrap(), vmlinux);
        assert_eq!(release(&bz_image(&vmlinux)).as_deref(), Some("6.1.0-x"));
        assert_eq!(release_of_elf(b"..Linux version 6.1.9 (gcc)").as_deref(), Some("6.1.9"));
        let spoken = b"Linux version %s\n\0Linux version 6.1.9 (gcc)\0Linux version 2.6 or newer";
        assert_eq!(release_of_elf(spoken).as_deref(), Some("6.1.9"));
        assert_eq!(release_of_elf(b"Linux version %s"), None);
    }

    #[test]
    fn images_that_do_not_serve_say_why() {
        insta::assert_snapshot!(
            pvh_kernel(&bz_image(&gzip(&elf(1)))).unwrap_err(),
            @"the kernel has no PVH entry (it was built without CONFIG_PVH)"
        );
        insta::assert_snapshot!(
            pvh_kernel(b"words").unwrap_err(),
            @"neither a bzImage (no boot header) nor an ELF vmlinux; name what a build left: arch/x86/boot/bzImage or vmlinux"
        );
        insta::assert_snapshot!(
            pvh_kernel(&gzip(b"x")).unwrap_err(),
            @"it is compressed by gzip; unpack it (`gunzip -k FILE`) and name what comes out, or name the bzImage of the same build"
        );
        let mut no_pvh = elf(1);
        no_pvh.extend(BANNER);
        insta::assert_snapshot!(
            pvh_kernel(&no_pvh).unwrap_err(),
            @"it is an ELF without a PVH entry (it was built without CONFIG_PVH); name the bzImage of the same build, which boots without one, or build it with CONFIG_PVH=y"
        );
        insta::assert_snapshot!(
            pvh_kernel(&bz_image(b"BZh91AY&SY")).unwrap_err(),
            @"the kernel in the image is compressed in an unknown way (it begins with [42, 5a, 68, 39, 31, 41])"
        );
        let mut narrow = elf(PVH_NOTE.0);
        narrow[4] = 1;
        insta::assert_snapshot!(
            pvh_kernel(&bz_image(&gzip(&narrow))).unwrap_err(),
            @"it is an ELF of 32 bits, and our machine is x86_64; name a kernel that was built with ARCH=x86_64"
        );
        let whole = bz_image(&gzip(&elf(PVH_NOTE.0)));
        assert!(matches!(
            pvh_kernel(&whole[..whole.len() - 9]),
            Err(PayloadError::CutOff { .. })
        ));
        let mut damaged = whole.clone();
        let middle = damaged.len() - 30;
        damaged[middle] ^= 0xff;
        assert!(matches!(
            pvh_kernel(&damaged),
            Err(PayloadError::Damaged(_) | PayloadError::NoPvh)
        ));
        let mut old = whole;
        old[VERSION_AT] = 7;
        insta::assert_snapshot!(
            pvh_kernel(&old).unwrap_err(),
            @"the image's boot protocol 2.07 does not tell where the kernel is"
        );
    }
}
