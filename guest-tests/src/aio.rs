//! Reads that are asked for and then waited for, by libaio and by io_uring: what a program does that sleeps for an I/O
//! in a way that a signal would end. Without any library, since only one read at a time is needed.

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};

use rustix::mm::{MapFlags, ProtFlags, mmap};

/// `struct iocb` of linux/aio_abi.h.
#[repr(C)]
#[derive(Default)]
struct Iocb {
    data: u64,
    key: u32,
    rw_flags: u32,
    opcode: u16,
    priority: i16,
    file: u32,
    buffer: u64,
    bytes: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    resfd: u32,
}

/// `struct io_event` of the same.
#[repr(C)]
#[derive(Default)]
struct IoEvent {
    data: u64,
    object: u64,
    result: i64,
    result2: i64,
}

/// Reads by libaio's calls, and waits for the completion without a time-out.
///
/// # Errors
/// What the read, or one of the calls, answers.
pub fn read_by_aio(file: &File, buffer: &mut [u8], offset: i64) -> io::Result<usize> {
    let mut context: u64 = 0;
    // SAFETY: io_setup writes the context's id, which is a word.
    check(unsafe { libc::syscall(libc::SYS_io_setup, 1, &raw mut context) })?;
    let mut request = Iocb {
        // IOCB_CMD_PREAD is 0.
        file: file.as_raw_fd().unsigned_abs(),
        buffer: buffer.as_mut_ptr() as u64,
        bytes: buffer.len() as u64,
        offset,
        ..Iocb::default()
    };
    let mut requests = [&raw mut request];
    // SAFETY: io_submit reads one pointer to a request, which lives until it is completed below.
    check(unsafe { libc::syscall(libc::SYS_io_submit, context, 1, requests.as_mut_ptr()) })?;
    let mut event = IoEvent::default();
    let no_time = std::ptr::null_mut::<c_void>();
    // SAFETY: io_getevents writes one event.
    check(unsafe { libc::syscall(libc::SYS_io_getevents, context, 1, 1, &raw mut event, no_time) })?;
    result(event.result)
}

/// `struct io_uring_params` of linux/io_uring.h.
#[repr(C)]
#[derive(Default)]
struct RingParameters {
    sq_entries: u32,
    cq_entries: u32,
    flags: u32,
    thread: [u32; 2],
    features: u32,
    rest: [u32; 4],
    /// Offsets of head, tail, mask, entries, flags, dropped, array.
    sq: [u32; 10],
    /// Offsets of head, tail, mask, entries, overflow, completions.
    cq: [u32; 10],
}

/// `struct io_uring_sqe` of the same, as far as a read needs it.
#[repr(C)]
#[derive(Default)]
struct RingRequest {
    opcode: u8,
    flags: u8,
    priority: u16,
    file: i32,
    offset: u64,
    buffer: u64,
    bytes: u32,
    rest: [u32; 9],
}

const OP_READ: u8 = 22;
const OFF_REQUESTS: u64 = 0x1000_0000;
const FEATURE_ONE_MAP: u32 = 1;
const ENTER_GETEVENTS: u32 = 1;
/// Both rings of one entry, and one request, are smaller.
const MAPPED: usize = 4096;

/// Reads by io_uring, and waits for the completion without a time-out.
///
/// # Errors
/// What the read, or one of the calls, answers.
pub fn read_by_ring(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut parameters = RingParameters::default();
    // SAFETY: io_uring_setup reads and writes the parameters.
    let ring = check(unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, &raw mut parameters) })?;
    let ring = i32::try_from(ring).map_err(io::Error::other)?;
    // SAFETY: the call returned a descriptor that nobody else has.
    let ring = unsafe { File::from_raw_fd(ring) };
    if parameters.features & FEATURE_ONE_MAP == 0 {
        return Err(io::Error::other("this kernel's io_uring is older than 5.4"));
    }
    let map = |at: u64| {
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a new mapping of the ring, at an address of the kernel's choice; it stays until the program ends.
        unsafe { mmap(std::ptr::null_mut(), MAPPED, protection, flags, &ring, at) }
    };
    let (rings, requests) = (map(0)?.cast::<u8>(), map(OFF_REQUESTS)?.cast::<RingRequest>());
    let request = RingRequest {
        opcode: OP_READ,
        file: file.as_raw_fd(),
        offset,
        buffer: buffer.as_mut_ptr() as u64,
        bytes: u32::try_from(buffer.len()).map_err(io::Error::other)?,
        ..RingRequest::default()
    };
    // SAFETY: the mapping has room for the one request of the ring.
    unsafe { requests.write(request) };
    // The array's only entry is 0, which is the request's number; the tail says that it is there.
    let tail = rings.wrapping_add(parameters.sq[1] as usize).cast::<u32>();
    // SAFETY: the tail lies in the mapping, as the kernel says where; the kernel looks at it in the call below.
    unsafe { tail.write_volatile(1) };
    let (descriptor, none) = (ring.as_raw_fd(), std::ptr::null_mut::<c_void>());
    // SAFETY: the buffer lives until the read is completed, which the call waits for.
    check(unsafe { libc::syscall(libc::SYS_io_uring_enter, descriptor, 1, 1, ENTER_GETEVENTS, none, 0) })?;
    // A completion is a word of the request's, the result, and flags.
    let completion = rings.wrapping_add(parameters.cq[5] as usize).cast::<i32>();
    // SAFETY: the completions lie in the mapping, as the kernel says where, and one has been written.
    result(i64::from(unsafe { completion.wrapping_add(2).read_volatile() }))
}

fn check(answer: i64) -> io::Result<i64> {
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(answer)
}

fn result(answer: i64) -> io::Result<usize> {
    usize::try_from(answer).map_err(|_| io::Error::from_raw_os_error(i32::try_from(-answer).unwrap_or(i32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_in_both_ways() {
        let path = std::env::temp_dir().join(format!("aio-{}", std::process::id()));
        std::fs::write(&path, b"0123456789").unwrap();
        let file = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let mut buffer = [0; 4];
        assert_eq!(read_by_aio(&file, &mut buffer, 2).unwrap(), 4);
        assert_eq!(&buffer, b"2345");
        match read_by_ring(&file, &mut buffer, 6) {
            Ok(done) => assert_eq!((done, &buffer), (4, b"6789")),
            // Where the tests run, io_uring may be forbidden.
            Err(error) => assert!(
                matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS)),
                "{error}"
            ),
        }
    }
}
