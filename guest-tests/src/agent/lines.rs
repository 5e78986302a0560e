//! Lines out of a stream of bytes, with a limit on their length.

/// Longer lines are cut: whatever sends them, the guest's memory is small.
const LINE_MAX: usize = 1 << 20;

/// Collects bytes and gives back whole lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pending: Vec<u8>,
}

impl Lines {
    /// Adds what was read; gives the lines that are now complete, without their ends.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE_MAX.saturating_sub(self.pending.len());
            self.pending.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                lines.extend(self.rest());
            }
        }
        lines
    }

    /// What is left without a line end, when the stream is over.
    pub(crate) fn rest(&mut self) -> Option<String> {
        let bytes = std::mem::take(&mut self.pending);
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end_matches(['\r', '\n']);
        (!text.is_empty()).then(|| text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole() {
        let mut lines = Lines::default();
        assert!(lines.push(b"bioscope/1 {\"do\"").is_empty());
        assert_eq!(lines.push(b":1}\r\n\nnext\nre"), ["bioscope/1 {\"do\":1}", "next"]);
        assert_eq!(lines.rest().as_deref(), Some("re"));
        assert_eq!(lines.rest(), None);
    }
}
