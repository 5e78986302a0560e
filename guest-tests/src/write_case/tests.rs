//! What a write promises, by its result.

use guest_wire::params::Layout;
use rustix::io::Errno;

use crate::file::Call;
use crate::oracle::{Allowed, page_of};
use crate::pattern::{PAGE, TAG_OLD, TAG_SOURCE};
use crate::write_case::case::WriteCase;
use crate::write_case::promise::Written;

const CASE: WriteCase = WriteCase {
    name: "target",
    offset: 0,
    len: 4 * PAGE,
    readable: 4 * PAGE,
    layout: Layout::New,
    old_size: 0,
    old_tag: TAG_OLD,
    source_page: 0,
    flags: 0,
    expect_error: false,
};

fn call(result: Result<usize, Errno>) -> Call {
    Call {
        name: "pwrite64",
        offset: 0,
        len: 4 * PAGE,
        result,
        faults: 1,
    }
}

fn written(result: Result<usize, Errno>) -> Written {
    Written {
        ret: result.map_or(-1, |done| done as i64),
        errno: result.err().map_or(0, Errno::raw_os_error),
        size_after: 0,
    }
}

fn judged(case: &WriteCase, result: Result<usize, Errno>) -> Option<String> {
    case.judge(&call(result))
        .map(|(oracle, detail)| format!("{oracle}: {}", detail.split(": ").nth(1).unwrap_or("")))
}

#[test]
fn a_plain_write_must_be_full() {
    assert_eq!(judged(&CASE, Ok(4 * PAGE)), None);
    assert_eq!(
        judged(&CASE, Ok(PAGE)).as_deref(),
        Some("result: short without an error")
    );
    assert_eq!(
        judged(&CASE, Ok(0)).as_deref(),
        Some("result: nothing written and no error")
    );
    assert_eq!(
        judged(&CASE, Err(Errno::FAULT)).as_deref(),
        Some("result: the whole buffer is readable")
    );
    assert_eq!(
        judged(&CASE, Err(Errno::IO)).as_deref(),
        Some("result: no such error is due")
    );
}

#[test]
fn a_buffer_forbidden_midway_gives_efault_or_a_short_write() {
    let case = WriteCase {
        readable: 2 * PAGE,
        ..CASE
    };
    assert_eq!(judged(&case, Err(Errno::FAULT)), None);
    assert_eq!(judged(&case, Ok(2 * PAGE)), None);
    assert_eq!(
        judged(&case, Ok(3 * PAGE)).as_deref(),
        Some("result: more than was readable in the buffer")
    );
    assert_eq!(
        judged(&case, Ok(4 * PAGE)).as_deref(),
        Some("result: more than was readable in the buffer")
    );
    let unreadable = WriteCase { readable: 0, ..CASE };
    assert_eq!(
        judged(&unreadable, Ok(PAGE)).as_deref(),
        Some("result: more than was readable in the buffer")
    );
}

#[test]
fn a_failing_device_must_be_heard_of() {
    let case = WriteCase {
        expect_error: true,
        ..CASE
    };
    assert_eq!(judged(&case, Err(Errno::IO)), None);
    assert_eq!(judged(&case, Ok(PAGE)), None);
    let lost = "lost-error: full success although the device failed a request of it";
    assert_eq!(judged(&case, Ok(4 * PAGE)).as_deref(), Some(lost));
}

#[test]
fn success_promises_every_page_and_the_size() {
    let expected = CASE.expected(&written(Ok(4 * PAGE)));
    assert_eq!((expected.size_min, expected.size_max), (16384, 16384));
    assert_eq!(expected.pages[3], [page_of(TAG_SOURCE, 3)]);
}

#[test]
fn efault_leaves_the_size_and_what_was_not_readable() {
    let case = WriteCase {
        readable: 2 * PAGE,
        layout: Layout::Existing,
        old_size: 4 * PAGE,
        ..CASE
    };
    let expected = case.expected(&written(Err(Errno::FAULT)));
    assert_eq!((expected.size_min, expected.size_max), (16384, 16384));
    assert_eq!(expected.pages[1], [page_of(TAG_SOURCE, 1), page_of(TAG_OLD, 1)]);
    assert_eq!(expected.pages[2], [page_of(TAG_OLD, 2)]);
    let new = WriteCase {
        readable: 2 * PAGE,
        ..CASE
    }
    .expected(&written(Err(Errno::FAULT)));
    // What was written before the fault may stay, as long as it is what was to be written.
    assert_eq!((new.size_min, new.size_max), (0, 8192));
    assert_eq!(new.pages[1], [page_of(TAG_SOURCE, 1)]);
    let nothing = WriteCase { readable: 0, ..CASE }.expected(&written(Err(Errno::FAULT)));
    assert_eq!((nothing.size_max, nothing.pages.len()), (0, 0));
}

#[test]
fn a_short_write_promises_its_part() {
    let case = WriteCase {
        readable: 2 * PAGE,
        ..CASE
    };
    let expected = case.expected(&written(Ok(2 * PAGE)));
    assert_eq!((expected.size_min, expected.size_max), (8192, 8192));
    assert_eq!(expected.pages[1], [page_of(TAG_SOURCE, 1)]);
}

#[test]
fn an_io_error_leaves_new_or_old_but_nothing_else() {
    let case = WriteCase {
        expect_error: true,
        ..CASE
    };
    let expected = case.expected(&written(Err(Errno::IO)));
    assert_eq!((expected.size_min, expected.size_max), (0, 16384));
    assert_eq!(expected.pages[0], [page_of(TAG_SOURCE, 0), Allowed::Zeros]);
}

#[test]
fn an_appending_write_keeps_the_prefix() {
    let case = WriteCase {
        offset: 2 * PAGE,
        old_size: 2 * PAGE,
        layout: Layout::Existing,
        ..CASE
    };
    let expected = case.expected(&written(Ok(4 * PAGE)));
    assert_eq!(expected.size_min, 6 * 4096);
    assert_eq!(expected.pages[1], [page_of(TAG_OLD, 1)]);
    assert_eq!(expected.pages[2], [page_of(TAG_SOURCE, 0)]);
}

#[test]
fn an_overlapping_source_may_be_read_old_or_new() {
    // 8 pages, the first 4 written at page 2: pages 2 and 3 are source and target.
    let case = WriteCase {
        name: "source",
        offset: 2 * PAGE,
        layout: Layout::Existing,
        old_size: 8 * PAGE,
        old_tag: TAG_SOURCE,
        ..CASE
    };
    let expected = case.expected(&written(Ok(4 * PAGE)));
    assert_eq!(expected.pages[1], [page_of(TAG_SOURCE, 1)]);
    assert_eq!(expected.pages[2], [page_of(TAG_SOURCE, 0)]);
    assert_eq!(expected.pages[4], [page_of(TAG_SOURCE, 2), page_of(TAG_SOURCE, 0)]);
    assert_eq!(expected.pages[5], [page_of(TAG_SOURCE, 3), page_of(TAG_SOURCE, 1)]);
    assert_eq!(expected.pages[6], [page_of(TAG_SOURCE, 6)]);
}
