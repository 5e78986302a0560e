//! The compressions that kernels and modules come in, recognised by their first bytes.

use std::io::{self, BufRead, Read};

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

/// How an image or a module is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// gzip, with its header.
    Gzip,
    /// xz, with or without the x86 filter.
    Xz,
    /// The older lzma format.
    Lzma,
    /// lz4's legacy frame, which is what the kernel uses.
    Lz4Legacy,
    /// Zstandard frames.
    Zstd,
}

/// Most that anything may grow to: an image's or a module's sizes are far below.
const OUTPUT_MAX: u64 = 1 << 30;
const LZ4_BLOCK_MAX: usize = 8 << 20;

impl Compression {
    /// The compression of data that begins so.
    #[must_use]
    pub fn of(start: &[u8]) -> Option<Self> {
        let known: [(&[u8], Compression); 5] = [
            (&[0x1f, 0x8b], Compression::Gzip),
            (&[0xfd, b'7', b'z', b'X', b'Z', 0], Compression::Xz),
            (&[0x5d, 0, 0], Compression::Lzma),
            (&[0x02, 0x21, 0x4c, 0x18], Compression::Lz4Legacy),
            (&[0x28, 0xb5, 0x2f, 0xfd], Compression::Zstd),
        ];
        known
            .into_iter()
            .find(|(magic, _)| start.starts_with(magic))
            .map(|(_, compression)| compression)
    }

    /// Decompresses data; what follows the compressed stream (the kernel's build puts the size there) is passed over.
    ///
    /// # Errors
    /// The data is damaged or cut off.
    pub fn decompress(self, data: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        match self {
            Compression::Gzip => read(flate2::read::GzDecoder::new(data), &mut out)?,
            Compression::Xz => read(liblzma::read::XzDecoder::new(data), &mut out)?,
            Compression::Lzma => {
                let stream = liblzma::stream::Stream::new_lzma_decoder(OUTPUT_MAX).map_err(io::Error::other)?;
                read(liblzma::read::XzDecoder::new_stream(data, stream), &mut out)?;
            }
            Compression::Zstd => {
                read(StreamingDecoder::new(data).map_err(io::Error::other)?, &mut out)?;
            }
            Compression::Lz4Legacy => lz4_legacy(data.get(4..).unwrap_or_default(), &mut out)?,
        }
        Ok(out)
    }
}

/// Reads what is compressed as any of gzip, xz, lzma and Zstandard, or not at all.
///
/// # Errors
/// It cannot be read, or begins like a compressed stream and is none.
pub(crate) fn stream<'a>(mut from: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match Compression::of(from.fill_buf()?) {
        Some(Compression::Gzip) => Box::new(flate2::bufread::MultiGzDecoder::new(from)),
        Some(Compression::Xz) => Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(from)),
        Some(Compression::Zstd) => Box::new(ZstdFrames::new(from)?),
        Some(Compression::Lzma) => {
            let stream = liblzma::stream::Stream::new_lzma_decoder(OUTPUT_MAX).map_err(io::Error::other)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(from, stream))
        }
        Some(Compression::Lz4Legacy) | None => Box::new(from),
    })
}

/// Zstandard frames one after another, as pzstd writes them.
struct ZstdFrames<R: BufRead>(Option<StreamingDecoder<Ahead<R>, FrameDecoder>>);

/// What was read to see what follows, and what follows.
type Ahead<R> = io::Chain<io::Cursor<Vec<u8>>, R>;

impl<R: BufRead> ZstdFrames<R> {
    /// Begins with the next frame, if there is one.
    fn new(mut from: R) -> io::Result<Self> {
        loop {
            // A buffer may end within these.
            let mut magic = Vec::new();
            from.by_ref().take(4).read_to_end(&mut magic)?;
            match magic.as_slice() {
                [] => return Ok(ZstdFrames(None)),
                [0x50..=0x5f, 0x2a, 0x4d, 0x18] => {
                    // Others' notes, to be skipped.
                    let mut size = [0; 4];
                    from.read_exact(&mut size)?;
                    let mut note = from.by_ref().take(u32::from_le_bytes(size).into());
                    io::copy(&mut note, &mut io::sink())?;
                }
                _ => {
                    let decoder = StreamingDecoder::new(io::Cursor::new(magic).chain(from));
                    return Ok(ZstdFrames(Some(decoder.map_err(io::Error::other)?)));
                }
            }
        }
    }
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while let Some(frame) = &mut self.0 {
            let read = frame.read(into)?;
            if read > 0 || into.is_empty() {
                return Ok(read);
            }
            if let Some(frame) = self.0.take() {
                *self = ZstdFrames::new(frame.into_inner().into_inner().1)?;
            }
        }
        Ok(0)
    }
}

fn read(from: impl Read, out: &mut Vec<u8>) -> io::Result<()> {
    let read = from.take(OUTPUT_MAX + 1).read_to_end(out)?;
    if read as u64 > OUTPUT_MAX {
        Err(io::Error::other("more than 1 GiB of output"))
    } else {
        Ok(())
    }
}

/// Blocks of 8 MiB each, every one after its compressed size; a shorter one is the last.
fn lz4_legacy(mut data: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let cut_off = || io::Error::new(io::ErrorKind::UnexpectedEof, "lz4 block is cut off");
    while let Some((size, rest)) = data.split_first_chunk::<4>() {
        let size = usize::try_from(u32::from_le_bytes(*size)).map_err(io::Error::other)?;
        let start = out.len();
        // What is left after the last block is the kernel's own note of the whole size.
        if start > 0 && (rest.is_empty() || size == start) {
            break;
        }
        let block = rest.get(..size).ok_or_else(cut_off)?;
        out.resize(start + LZ4_BLOCK_MAX, 0);
        let written = lz4_flex::block::decompress_into(block, &mut out[start..]).map_err(io::Error::other)?;
        out.truncate(start + written);
        if out.len() as u64 > OUTPUT_MAX {
            return Err(io::Error::other("more than 1 GiB of output"));
        }
        data = &rest[size..];
        if written < LZ4_BLOCK_MAX {
            break;
        }
    }
    if out.is_empty() { Err(cut_off()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn text() -> Vec<u8> {
        (0..9_000_000_u32).map(|n| (n / 7 % 251) as u8).collect()
    }

    fn lz4(data: &[u8]) -> Vec<u8> {
        let mut out = vec![0x02, 0x21, 0x4c, 0x18];
        for block in data.chunks(LZ4_BLOCK_MAX) {
            let block = lz4_flex::block::compress(block);
            out.extend(u32::try_from(block.len()).unwrap().to_le_bytes());
            out.extend(block);
        }
        out
    }

    fn round_trip(expected: Compression, mut packed: Vec<u8>, data: &[u8]) {
        assert_eq!(Compression::of(&packed), Some(expected));
        packed.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        assert!(expected.decompress(&packed).unwrap() == data, "{expected:?} differs");
        assert!(
            expected.decompress(&packed[..packed.len() / 2]).is_err(),
            "{expected:?} half"
        );
    }

    #[test]
    fn what_was_compressed_comes_back_with_a_size_after_it() {
        let data = text();
        round_trip(Compression::Lz4Legacy, lz4(&data), &data);
        round_trip(Compression::Lz4Legacy, lz4(&data[..100]), &data[..100]);
        let whole = &data[..LZ4_BLOCK_MAX];
        assert!(Compression::Lz4Legacy.decompress(&lz4(whole)).unwrap() == whole);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&data).unwrap();
        round_trip(Compression::Gzip, gzip.finish().unwrap(), &data);
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&data).unwrap();
        round_trip(Compression::Xz, xz.finish().unwrap(), &data);
        let zstd = ruzstd::encoding::compress_to_vec(&data[..], ruzstd::encoding::CompressionLevel::Fastest);
        round_trip(Compression::Zstd, zstd, &data);
    }

    #[test]
    fn frames_follow_on_each_other() {
        let frame = |text: &[u8]| ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest);
        let note = [b"\x50\x2a\x4d\x18\x04\0\0\0".as_slice(), b"note"].concat();
        let packed = [frame(b"one "), note.clone(), frame(b""), frame(b"two"), note].concat();
        let mut text = String::new();
        stream(packed.as_slice()).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "one two");
        // Wherever a buffer ends.
        for size in 4..packed.len() {
            let mut text = String::new();
            let buffered = io::BufReader::with_capacity(size, packed.as_slice());
            stream(buffered).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "one two", "{size}");
        }
        let mut cut_off = stream(&packed[..packed.len() - 14]).unwrap();
        assert!(cut_off.read_to_string(&mut text).is_err());
    }

    #[test]
    fn other_data_is_not_recognised() {
        assert_eq!(Compression::of(b"\x7fELF"), None);
        assert_eq!(Compression::of(b""), None);
    }
}
