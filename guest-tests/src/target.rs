//! States a file can be in before a direct write; each sends the file system another way.

use std::fs::File;
use std::path::Path;

use guest_wire::params::{FillOrder, Layout};
use rustix::fs::{FallocateFlags, IFlags};
use rustix::io::Errno;

use crate::file::{Via, open_write, pwrite};
use crate::mapping::Mapping;
use crate::oracle::{Allowed, page_of};
use crate::pattern::PAGE;
use crate::test::{Trouble, While};

/// The size of a file of this layout when it is made for `len` bytes.
pub(crate) fn old_size(layout: Layout, len: usize) -> usize {
    match layout {
        Layout::New | Layout::NewNocow => 0,
        _ => len,
    }
}

/// What a page of such a file holds, if it was made with this tag.
pub(crate) fn old_page(layout: Layout, tag: u64, index: usize) -> Allowed {
    match layout {
        Layout::New | Layout::NewNocow | Layout::Prealloc => Allowed::Zeros,
        _ => page_of(tag, index),
    }
}

/// Makes the file, with `len` bytes of the tag's pattern where the layout has data, and waits until it is on disk.
///
/// # Errors
/// A system call failed, or the file system has no such layout ([`Trouble::Skip`]).
pub fn make(path: &Path, layout: Layout, tag: u64, len: usize) -> Result<(), Trouble> {
    let name = path.display();
    let file = open_write(path, Via::Direct, libc::O_EXCL).while_doing(format_args!("create {name}"))?;
    match layout {
        Layout::New => {}
        Layout::NewNocow => no_copy_on_write(&file)?,
        Layout::Prealloc => match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, len as u64) {
            Err(Errno::OPNOTSUPP) => return Err(skip("the file system has no fallocate")),
            result => result.while_doing(format_args!("preallocate {name}"))?,
        },
        Layout::Existing => write(&file, tag, len, Pieces::Whole)?,
        Layout::Fragmented => write(&file, tag, len, Pieces::Alternating)?,
        Layout::Nocow => {
            no_copy_on_write(&file)?;
            write(&file, tag, len, Pieces::Whole)?;
        }
        Layout::NocowFragmented => {
            no_copy_on_write(&file)?;
            write(&file, tag, len, Pieces::Alternating)?;
        }
    }
    rustix::fs::fsync(&file).while_doing(format_args!("sync {name}"))
}

/// Order in which a file's data is written.
#[derive(Clone, Copy)]
enum Pieces {
    /// At once.
    Whole,
    /// Every other page, then those between, so that no two neighbours are allocated together.
    Alternating,
}

fn write(file: &File, tag: u64, len: usize, pieces: Pieces) -> Result<(), Trouble> {
    let data = Mapping::anonymous(len).while_doing("map a buffer")?;
    data.fill(tag, FillOrder::Forwards);
    let put = |at: usize, len: usize| {
        let call = pwrite(file, &data, at, len, at as u64);
        match call.result {
            Ok(done) if done == len => Ok(()),
            Ok(_) => Err(std::io::Error::other(call.text())).while_doing("write the file's first content"),
            Err(errno) => Err(errno).while_doing("write the file's first content"),
        }
    };
    match pieces {
        Pieces::Whole => put(0, len),
        Pieces::Alternating => {
            (0..len).step_by(2 * PAGE).try_for_each(|at| put(at, PAGE))?;
            rustix::fs::fsync(file).while_doing("sync every other page")?;
            (PAGE..len).step_by(2 * PAGE).try_for_each(|at| put(at, PAGE))
        }
    }
}

fn no_copy_on_write(file: &File) -> Result<(), Trouble> {
    let set =
        rustix::fs::ioctl_getflags(file).and_then(|flags| rustix::fs::ioctl_setflags(file, flags | IFlags::NOCOW));
    match set {
        Err(Errno::OPNOTSUPP | Errno::NOTTY | Errno::INVAL) => Err(skip("the file system has no NOCOW files")),
        result => result.while_doing("set the NOCOW flag"),
    }
}

fn skip(reason: &str) -> Trouble {
    Trouble::Skip {
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::{TAG_OLD, check};

    #[test]
    fn a_layout_knows_what_it_holds() {
        assert_eq!(
            (old_size(Layout::New, 8192), old_size(Layout::Prealloc, 8192)),
            (0, 8192)
        );
        assert_eq!(old_size(Layout::NewNocow, 8192), 0);
        assert_eq!(old_page(Layout::Prealloc, TAG_OLD, 1), Allowed::Zeros);
        assert_eq!(old_page(Layout::Nocow, TAG_OLD, 1), page_of(TAG_OLD, 1));
    }

    #[test]
    fn pieces_make_the_same_content() {
        let path = std::env::temp_dir().join(format!("bioscope-target-{}", std::process::id()));
        for pieces in [Pieces::Whole, Pieces::Alternating] {
            let file = open_write(&path, Via::Buffered, 0).unwrap();
            write(&file, TAG_OLD, 5 * PAGE, pieces).unwrap();
            assert_eq!(check(&std::fs::read(&path).unwrap(), TAG_OLD, 0), None);
            std::fs::remove_file(&path).unwrap();
        }
    }
}
