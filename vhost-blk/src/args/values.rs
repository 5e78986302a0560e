//! Values of options: what each may be.

use std::ops::Range;
use std::path::PathBuf;

use vhost_blk_api::op::Op;
use vhost_blk_api::trace::Status;

pub(super) fn op(text: &str) -> Result<Op, String> {
    let all = || Op::MATCHABLE.into_iter().chain([Op::GetId]);
    all().find(|op| op.name() == text).ok_or_else(|| {
        let names: Vec<&str> = all().map(Op::name).collect();
        format!("expected one of {}", names.join(", "))
    })
}

pub(super) fn status(text: &str) -> Result<Status, String> {
    [Status::Ok, Status::IoErr, Status::Unsupp, Status::Dropped]
        .into_iter()
        .find(|status| status.name() == text)
        .ok_or_else(|| "expected ok, ioerr, unsupp or dropped".to_owned())
}

pub(super) fn sectors(text: &str) -> Result<Range<u64>, String> {
    let range = text
        .split_once("..")
        .and_then(|(start, end)| Some(start.parse().ok()?..end.parse().ok()?));
    range
        .filter(|range: &Range<u64>| range.start < range.end)
        .ok_or_else(|| "expected A..B with A < B".to_owned())
}

fn power_of_two(text: &str, min: u32, max: u32) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(number) if number.is_power_of_two() && (min..=max).contains(&number) => Ok(number),
        _ => Err(format!("expected a power of two from {min} to {max}")),
    }
}

pub(super) fn queue_size(text: &str) -> Result<u16, String> {
    u16::try_from(power_of_two(text, 2, 1024)?).map_err(|error| error.to_string())
}

pub(super) fn history_bytes(text: &str) -> Result<u64, String> {
    vhost_blk_api::plan::units::parse_bytes(text)
        .ok_or_else(|| "expected a number of bytes, like 4096, 512k or 256M".to_owned())
}

pub(super) fn block_size(text: &str) -> Result<u32, String> {
    power_of_two(text, 512, 4096)
}

pub(super) fn size_max(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(bytes) if bytes >= 512 && bytes.is_multiple_of(512) => Ok(bytes),
        _ => Err("expected a multiple of 512 bytes".to_owned()),
    }
}

pub(super) fn directory(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(path),
        Ok(_) => Err("not a directory".to_owned()),
        Err(error) => Err(format!("{error}: expected a directory that exists")),
    }
}

pub(super) fn serial_text(text: &str) -> Result<String, String> {
    if text.len() <= 20 {
        Ok(text.to_owned())
    } else {
        Err(format!("{} bytes: at most 20", text.len()))
    }
}
