//! Memory that comes to be with its bytes in it: the kernel takes a page that nobody has, copies into it what a guest
//! writes, and maps it, at once for many pages (`UFFDIO_COPY`, userfaultfd(2)). It need not clear a page that is
//! written over at once, which a page fault must; 128 KiB take two thirds of the time.
//!
//! For this a range has to be under a userfaultfd, and then a page of it that is not there yet can only come to be this
//! way: who touched it would get SIGBUS. So a range is for nothing else until all of it is there or [`Filler::release`]
//! gave it back.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::ioctl::{Opcode, Updater, opcode};
use rustix::mm::{UserfaultfdFlags, userfaultfd};
use vm_memory::VolatileSlice;

/// A userfaultfd.
#[derive(Debug)]
pub(super) struct Filler {
    fd: OwnedFd,
}

// Of `linux/userfaultfd.h`. The crate that has them makes its bindings as it is built, and wants a compiler for C with
// its libraries for that.
const GROUP: u8 = 0xaa;
const API: Opcode = opcode::read_write::<Api>(GROUP, 0x3f);
const REGISTER: Opcode = opcode::read_write::<Register>(GROUP, 0x00);
const UNREGISTER: Opcode = opcode::read::<Range>(GROUP, 0x01);
const COPY: Opcode = opcode::read_write::<Copy>(GROUP, 0x03);
/// The version that there is.
const API_VERSION: u64 = 0xaa;
/// Who touches a page that is not there gets a signal, rather than wait for somebody to answer.
const FEATURE_SIGBUS: u64 = 1 << 7;
/// Pages that are not there.
const MODE_MISSING: u64 = 1 << 0;
/// Nobody waits.
const MODE_DONTWAKE: u64 = 1 << 0;
/// Page faults in the kernel's own code are not for it, so that it needs no privilege.
const USER_MODE_ONLY: u32 = 1;

/// What the device asks of it once it serves: these, by ioctl(2).
pub(crate) const IOCTLS: [Opcode; 3] = [REGISTER, UNREGISTER, COPY];

#[repr(C)]
struct Api {
    api: u64,
    features: u64,
    ioctls: u64,
}

#[repr(C)]
struct Range {
    start: u64,
    len: u64,
}

#[repr(C)]
struct Register {
    range: Range,
    mode: u64,
    ioctls: u64,
}

#[repr(C)]
struct Copy {
    to: u64,
    from: u64,
    len: u64,
    mode: u64,
    copied: i64,
}

impl Filler {
    /// None where the kernel has none, or none for this process (before Linux 5.11 only with privilege; containers
    /// forbid it, too).
    pub(super) fn new() -> Option<Filler> {
        let flags = UserfaultfdFlags::CLOEXEC | UserfaultfdFlags::from_bits_retain(USER_MODE_ONLY);
        // SAFETY: nothing is under it yet.
        let fd = unsafe { userfaultfd(flags) }.ok()?;
        let filler = Filler { fd };
        let mut api = Api {
            api: API_VERSION,
            features: FEATURE_SIGBUS,
            ioctls: 0,
        };
        // SAFETY: it takes such a struct.
        unsafe { filler.ask::<API, _>(&mut api) }.ok()?;
        Some(filler)
    }

    /// # Safety
    /// The number is that of an ioctl which reads and writes such a value.
    unsafe fn ask<const NUMBER: Opcode, T>(&self, value: &mut T) -> rustix::io::Result<()> {
        // SAFETY: as the caller says.
        let updater = unsafe { Updater::<NUMBER, T>::new(value) };
        // SAFETY: as the caller says.
        unsafe { rustix::ioctl::ioctl(&self.fd, updater) }
    }

    /// From here on pages of the range, of which none is there, come to be by [`Filler::copy`] only.
    ///
    /// # Errors
    /// The kernel keeps no more ranges.
    pub(super) fn take(&self, range: &VolatileSlice<'_>) -> io::Result<()> {
        let mut register = Register {
            range: of(range),
            mode: MODE_MISSING,
            ioctls: 0,
        };
        // SAFETY: it takes such a struct, and what is said of the memory changes nothing in it.
        Ok(unsafe { self.ask::<REGISTER, _>(&mut register) }?)
    }

    /// Pages of the range come to be as any others again.
    ///
    /// # Errors
    /// The kernel is out of memory.
    pub(super) fn release(&self, range: &VolatileSlice<'_>) -> io::Result<()> {
        // SAFETY: as with `take`.
        Ok(unsafe { self.ask::<UNREGISTER, _>(&mut of(range)) }?)
    }

    /// Copies bytes, whole pages, to as many that are not there.
    ///
    /// # Errors
    /// Not all came to be: the source cannot be read, the range is not one that was taken, or there is no memory.
    pub(super) fn copy(&self, from: &VolatileSlice<'_>, to: &VolatileSlice<'_>) -> io::Result<()> {
        let (from, to) = (from.ptr_guard(), to.ptr_guard_mut());
        let len = from.len().min(to.len()) as u64;
        let mut done = 0;
        while done < len {
            let mut copy = Copy {
                to: to.as_ptr() as u64 + done,
                from: from.as_ptr() as u64 + done,
                len: len - done,
                mode: MODE_DONTWAKE,
                copied: 0,
            };
            // SAFETY: it takes such a struct; the kernel copies between two pieces of memory that live for so long, by
            // their addresses.
            let result = unsafe { self.ask::<COPY, _>(&mut copy) };
            match result {
                Ok(()) => done += copy.copied.cast_unsigned(),
                // It was interrupted, or the process's memory map changed: it says how far it came.
                Err(Errno::AGAIN) => done += copy.copied.max(0).cast_unsigned(),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn of(range: &VolatileSlice<'_>) -> Range {
    Range {
        start: range.ptr_guard().as_ptr() as u64,
        len: range.len() as u64,
    }
}
