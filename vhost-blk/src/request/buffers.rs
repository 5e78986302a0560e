//! The buffers of a request, in memory that is used again.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use smallvec::SmallVec;
use vm_memory::GuestAddress;

/// A piece of guest memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Buffer {
    /// Where it begins.
    pub(crate) addr: GuestAddress,
    /// Its length in bytes.
    pub(crate) len: u32,
}

/// So many need no memory of their own: header, status, and the data of a request of a page or a few.
const INLINE: usize = 8;
/// Lists that a thread keeps, for that many requests at once.
const SPARE_MAX: usize = 128;
/// The longest list that is kept: 128 KiB in pages, header and status, with some to spare.
const KEPT_MAX: usize = 128;

type List = SmallVec<[Buffer; INLINE]>;

thread_local! {
    /// Lists of requests that are done. A queue's thread has as many out as it has requests, and most requests are of
    /// one kind.
    static SPARE: RefCell<Vec<List>> = RefCell::new(Vec::with_capacity(SPARE_MAX));
}

/// Buffers of a request in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Buffers(List);

impl Buffers {
    /// None.
    #[must_use]
    pub(crate) fn new() -> Buffers {
        Buffers::default()
    }

    /// Adds one at the end.
    pub(crate) fn push(&mut self, buffer: Buffer) {
        if self.0.len() == INLINE && !self.0.spilled() {
            // A thread that is ending has none.
            if let Ok(Some(mut spare)) = SPARE.try_with(|spare| spare.borrow_mut().pop()) {
                spare.extend_from_slice(&self.0);
                self.0 = spare;
            }
        }
        self.0.push(buffer);
    }

    /// Takes the last one off.
    pub(crate) fn pop(&mut self) -> Option<Buffer> {
        self.0.pop()
    }

    /// Takes the first ones off, this many of them or all.
    pub(crate) fn skip(&mut self, count: usize) {
        self.0.drain(..count.min(self.0.len()));
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        if !self.0.spilled() || self.0.capacity() > KEPT_MAX {
            return;
        }
        let mut list = std::mem::take(&mut self.0);
        list.clear();
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_MAX {
                spare.push(list);
            }
        });
    }
}

impl Deref for Buffers {
    type Target = [Buffer];

    fn deref(&self) -> &[Buffer] {
        &self.0
    }
}

impl DerefMut for Buffers {
    fn deref_mut(&mut self) -> &mut [Buffer] {
        &mut self.0
    }
}

impl<'a> IntoIterator for &'a Buffers {
    type Item = &'a Buffer;
    type IntoIter = std::slice::Iter<'a, Buffer>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl FromIterator<Buffer> for Buffers {
    fn from_iter<I: IntoIterator<Item = Buffer>>(buffers: I) -> Buffers {
        let mut all = Buffers::new();
        for buffer in buffers {
            all.push(buffer);
        }
        all
    }
}
