//! The kernel's symbols on their way to the host: too many for a serial line, so they lie in the guest's memory, which
//! the host can read. Each page begins with a head by which the host finds it, wherever it lies.
//!
//! The text itself is a line a function, in the order of addresses: the address in hexadecimal and the name
//! (`ffffffff81000000 _stext`), and for a module's function the module's name after that.

/// Bytes of a page, head included.
pub const PAGE: usize = 4096;
/// Bytes of text that a page holds.
pub const ROOM: usize = PAGE - HEAD;
/// Bytes of a page's head: the nonce, twice with its bits turned in the second, and the page's number.
const HEAD: usize = 24;

/// Lays a text out in pages.
#[must_use]
pub fn lay_out(text: &[u8], nonce: u64) -> Vec<u8> {
    let mut pages = Vec::with_capacity(text.len().div_ceil(ROOM) * PAGE);
    for (number, part) in text.chunks(ROOM).enumerate() {
        pages.extend(head(nonce, number as u64));
        pages.extend(part);
        pages.resize((number + 1) * PAGE, 0);
    }
    pages
}

/// The number of a page that begins as the nonce's pages do, and its text (the last page's with what follows it).
#[must_use]
pub fn page(page: &[u8], nonce: u64) -> Option<(u64, &[u8])> {
    let (found, text) = page.split_at_checked(HEAD)?;
    let number = u64::from_le_bytes(found.get(16..)?.try_into().ok()?);
    (found == head(nonce, number)).then_some((number, text))
}

fn head(nonce: u64, number: u64) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    let words = [nonce, !nonce, number];
    for (place, word) in head.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_laid_out_is_found_page_by_page() {
        let text: Vec<u8> = (0..ROOM * 2 + 5).map(|at| (at % 251) as u8).collect();
        let pages = lay_out(&text, 7);
        assert_eq!(pages.len(), 3 * PAGE);
        let mut again: Vec<u8> = Vec::new();
        for (number, bytes) in pages.chunks(PAGE).enumerate() {
            let (found, part) = page(bytes, 7).unwrap();
            assert_eq!(found, number as u64);
            again.extend(part);
            assert_eq!(page(bytes, 8), None);
        }
        assert_eq!(again[..text.len()], text[..]);
        assert_eq!(page(&[0; 9], 0), None);
    }
}
