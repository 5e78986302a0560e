//! The disk as its history sees it: what is taken back, what is put there again, and where it ends.

use std::io;
use std::ops::Range;
use std::sync::atomic::Ordering;

use super::Disk;
use super::image::{AccessError, PIECE_BYTES, golden};
use super::overlay::Overlay;
use crate::power::change::{Content, Medium, Resize, Standing};
use crate::power::log::Log;

/// What is taken back, and what survives a power cut, is put on the disk itself; the history knows of it already.
///
/// It was read from there, so it has a place there. A storage that fails leaves what is there: there is nobody to tell.
impl Medium for &Disk {
    fn put(&mut self, offset: u64, content: &Content) {
        let _ = match content {
            Content::Zeros(len) => self.shared().zero(offset, *len),
            Content::Bytes(bytes) => self.shared().write_bytes(offset, bytes),
            Content::Golden(len) => self.put_golden(offset, *len),
        };
    }

    fn set_bytes(&mut self, bytes: u64) {
        let mut overlay = self.alone();
        let _ = overlay.set_bytes(bytes);
        self.bytes.store(overlay.bytes(), Ordering::Release);
    }

    fn regrow(&mut self, bytes: u64, cut: &[Content]) {
        let mut overlay = self.alone();
        let _ = overlay.regrow(bytes, cut, &self.file);
        self.bytes.store(overlay.bytes(), Ordering::Release);
    }
}

impl Standing for &Disk {
    fn bytes(&self) -> u64 {
        Disk::bytes(self)
    }

    fn contents(&self, range: &Range<u64>) -> Vec<Content> {
        let contents = self.shared().contents(range.start, range.end - range.start);
        contents.unwrap_or_default()
    }
}

impl Disk {
    /// Makes the disk end elsewhere. What is cut off is gone: where a disk grows there are zeros. A power cut does not
    /// take it back.
    ///
    /// # Errors
    /// There is no room, or the storage fails; the disk then stays as it is.
    pub(crate) fn resize(&self, bytes: u64) -> io::Result<()> {
        let mut log = self.history.open();
        let mut log = log.as_mut().and_then(|log| log.as_mut());
        let mut overlay = self.alone();
        overlay.reserve(bytes)?;
        let resized = self
            .cut_off(&mut overlay, bytes, log.as_deref())
            .map_err(io::Error::other)?;
        if let Some(log) = &mut log {
            log.resized(resized);
        }
        Ok(())
    }

    /// Makes the disk end where there was room for it before; what the history is to know of it.
    fn cut_off(&self, overlay: &mut Overlay, bytes: u64, log: Option<&Log>) -> Result<Resize, AccessError> {
        let from = overlay.bytes();
        let cut = bytes.min(from)..from;
        let keeps = log.is_some_and(|log| log.keeps(overlay.written_bytes(&cut)));
        let resized = Resize {
            from,
            to: bytes,
            cut: keeps
                .then(|| overlay.contents(cut.start, cut.end - cut.start))
                .transpose()?,
        };
        overlay.set_bytes(bytes)?;
        self.bytes.store(bytes, Ordering::Release);
        Ok(resized)
    }

    /// Writes what the image holds: the history then has its bytes, which a log of it needs.
    fn put_golden(&self, offset: u64, len: u64) -> Result<(), AccessError> {
        for start in (0..len).step_by(PIECE_BYTES as usize) {
            let range = offset + start..offset + (start + PIECE_BYTES).min(len);
            self.shared().write_bytes(range.start, &golden(&self.file, &range)?)?;
        }
        Ok(())
    }
}
