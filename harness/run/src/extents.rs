//! What a file costs on a btrfs image: its extents, and the space that is allocated for them, of which it may use a
//! part only.
//!
//! FIEMAP does not tell: it shows extents that are adjacent on disk as one, and says nothing of space that a file
//! keeps and does not use.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use verdict::results::Extents;

use host::tool::{self, ToolError};

const DEADLINE: Duration = Duration::from_secs(60);

/// The extents of the file of this name in the top directory of a btrfs image; nothing if there is none.
///
/// # Errors
/// btrfs-progs are missing or cannot read the image.
pub fn of_file(image: &Path, name: &str) -> Result<Option<Extents>, ToolError> {
    let mut command = tool::command("btrfs", "btrfs-progs")?;
    let finished = tool::run_ok(
        command.args(["inspect-internal", "dump-tree", "-t", "5"]).arg(image),
        DEADLINE,
    )?;
    Ok(parse(&String::from_utf8_lossy(&finished.stdout), name))
}

/// Reads what `btrfs inspect-internal dump-tree` prints of a subvolume.
fn parse(dump: &str, name: &str) -> Option<Extents> {
    let mut key = ("", "");
    let mut inode = None;
    // By inode: extents, bytes of data, and what is allocated by its place on disk, for two file extents may share it.
    let mut files: BTreeMap<&str, (u64, u64, BTreeMap<u64, u64>)> = BTreeMap::new();
    for line in dump.lines().map(str::trim) {
        if let Some((_, rest)) = line.strip_prefix("item ").and_then(|rest| rest.split_once(" key (")) {
            let mut words = rest.split([' ', ')']);
            key = (words.next()?, words.next()?);
        } else if key.1 == "INODE_REF" && line.ends_with(&format!("name: {name}")) {
            inode = Some(key.0);
        } else if key.1 == "EXTENT_DATA" {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |word: Option<&&str>| word.and_then(|word| word.parse::<u64>().ok());
            let file = files.entry(key.0).or_default();
            if line.starts_with("extent data disk byte ")
                && let (Some(place @ 1..), Some(bytes)) = (number(words.get(4)), number(words.get(6)))
            {
                file.0 += 1;
                file.2.insert(place, bytes);
            } else if line.starts_with("extent data offset ")
                && file.0 > 0
                && let Some(bytes) = number(words.get(5))
            {
                file.1 += bytes;
            }
        }
    }
    let (count, data_bytes, allocated) = files.remove(inode?).unwrap_or_default();
    Some(Extents {
        count,
        data_bytes,
        allocated_bytes: allocated.values().sum(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A target that truncated ordered extents left, and another file, as btrfs-progs 6.2 prints them.
    const DUMP: &str = "\
\titem 4 key (257 INODE_ITEM 0) itemoff 15879 itemsize 160
\t\tgeneration 7 transid 0 size 300000 nbytes 303104
\titem 5 key (257 INODE_REF 256) itemoff 15863 itemsize 16
\t\tindex 2 namelen 6 name: target
\titem 6 key (257 EXTENT_DATA 0) itemoff 15810 itemsize 53
\t\tgeneration 7 type 1 (regular)
\t\textent data disk byte 13631488 nr 262144
\t\textent data offset 0 nr 4096 ram 262144
\t\textent compression 0 (none)
\titem 7 key (257 EXTENT_DATA 4096) itemoff 15757 itemsize 53
\t\tgeneration 7 type 1 (regular)
\t\textent data disk byte 13893632 nr 258048
\t\textent data offset 0 nr 258048 ram 258048
\t\textent compression 0 (none)
\titem 8 key (258 INODE_REF 256) itemoff 15740 itemsize 16
\t\tindex 3 namelen 6 name: source
\titem 9 key (258 EXTENT_DATA 0) itemoff 15690 itemsize 53
\t\textent data disk byte 14155776 nr 262144
\t\textent data offset 0 nr 262144 ram 262144
";

    #[test]
    fn what_a_file_allocates_is_told_from_what_it_uses() {
        let target = Extents {
            count: 2,
            data_bytes: 262_144,
            allocated_bytes: 520_192,
        };
        assert_eq!(parse(DUMP, "target"), Some(target));
        assert_eq!(parse(DUMP, "source").map(|file| file.count), Some(1));
        assert_eq!(parse(DUMP, "other"), None);
    }
}
