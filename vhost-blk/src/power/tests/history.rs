//! History against a model: whatever was written, zeroed, flushed and marked, going back gives the bytes that were
//! there.

use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::{prop_assert, prop_assert_eq, proptest};
use vhost_blk_api::plan::{Lose, Torn};

use super::bed::*;
use crate::disk::Storage;
use crate::power::log::*;

#[test]
fn a_cut_loses_what_no_flush_made_durable() {
    let bed = bed(Keep::Volatile);
    bed.write(0, 8, 1);
    bed.flush();
    let durable = bed.bytes();
    bed.write(4, 8, 2);
    bed.disk.zero(0, 4096).unwrap();
    bed.write(100, 1, 3);
    let cut = bed.cut(Lose::All, None, 0);
    assert_eq!((cut.volatile, cut.lost, cut.torn_bytes), (3, 3, None));
    assert!(bed.bytes() == durable);
    // What survived is durable.
    assert_eq!(bed.cut(Lose::All, None, 0).volatile, 0);
}

#[test]
fn nothing_is_lost_when_so_said_and_about_half_with_some() {
    let bed = bed(Keep::Volatile);
    for sector in 0..64 {
        bed.write(sector, 1, 7);
    }
    let before = bed.bytes();
    assert_eq!(bed.cut(Lose::None, None, 0).lost, 0);
    assert!(bed.bytes() == before);
    for sector in 0..64 {
        bed.write(sector, 1, 9);
    }
    let cut = bed.cut(Lose::Some, None, 5);
    let survivors = bed.bytes()[..64 * 512]
        .chunks(512)
        .filter(|sector| sector[0] == 9)
        .count();
    assert_eq!(survivors, 64 - cut.lost);
    assert!((16..48).contains(&cut.lost), "{}", cut.lost);
}

#[test]
fn the_last_write_is_torn_at_its_unit() {
    for seed in 0..20 {
        let bed = bed(Keep::Volatile);
        bed.write(0, 64, 1);
        bed.flush();
        bed.write(0, 8, 5);
        bed.write(16, 32, 2);
        let cut = bed.cut(Lose::All, Some(Torn::Page), seed);
        let torn = cut.torn_bytes.unwrap();
        assert!(torn.is_multiple_of(4096) && torn < 32 * 512);
        let bytes = bed.bytes();
        let end = 16 * 512 + torn as usize;
        assert!(bytes[16 * 512..end].iter().all(|byte| *byte == 2));
        assert!(
            bytes[..16 * 512]
                .iter()
                .chain(&bytes[end..64 * 512])
                .all(|byte| *byte == 1)
        );
    }
}

#[test]
fn an_early_flush_is_none_until_its_time() {
    let bed = bed(Keep::Volatile);
    bed.write(0, 1, 1);
    bed.disk.history.flush(u64::MAX, Duration::from_secs(3600));
    let cut = bed.cut(Lose::All, None, 0);
    assert_eq!(cut.lost, 1);
    bed.write(0, 1, 1);
    bed.disk.history.flush(u64::MAX, Duration::ZERO);
    assert_eq!(bed.cut(Lose::All, None, 0).volatile, 0);
}

#[test]
fn unknown_marks_are_named_with_what_there_is() {
    let bed = bed(ALL);
    bed.disk.history.mark("a");
    insta::assert_snapshot!(bed.back_to("b").unwrap_err(), @"no mark `b` to go back to: known marks: a");
    let cheap = self::bed(Keep::Volatile);
    cheap.disk.history.mark("a");
    insta::assert_snapshot!(
        cheap.back_to("a").unwrap_err(),
        @"no mark `a` to go back to: known marks: none; start the device with --history to keep what is needed"
    );
}

#[test]
fn a_full_history_forgets_its_oldest_durable_part() {
    let bed = bed(Keep::All { bytes_max: 64 << 10 });
    bed.disk.history.mark("old");
    for round in 0..40 {
        bed.write(0, 8, round);
        bed.flush();
    }
    assert!(bed.back_to("old").is_err());
    // What is not durable is never forgotten, however much it is.
    let durable = bed.bytes();
    for round in 0..40 {
        bed.write(round, 8, 99);
    }
    bed.cut(Lose::All, None, 0);
    assert!(bed.bytes() == durable);
}

#[test]
fn what_has_no_data_does_not_fill_the_memory_either() {
    let bed = bed(Keep::All { bytes_max: 64 << 10 });
    for _ in 0..10_000 {
        bed.flush();
        bed.disk.zero(0, 4096).unwrap();
    }
    let entries = bed.disk.history.lock().as_ref().unwrap().entries.len();
    assert!((100..1000).contains(&entries), "{entries} entries in 64 KiB");
}

#[test]
fn what_is_durable_is_known_as_if_all_were_looked_at() {
    let soon = Duration::from_millis(2);
    for keep in [Keep::Volatile, ALL, Keep::All { bytes_max: 20 << 10 }] {
        let bed = bed(keep);
        for round in 0..200u64 {
            bed.write(round % 100, 1, 1);
            match round % 7 {
                0 => bed.disk.history.flush(u64::MAX, soon),
                1 => bed.disk.history.flush(u64::MAX, Duration::from_secs(3600)),
                2 if round % 3 == 0 => bed.flush(),
                3 => bed.disk.history.mark("x"),
                4 if round % 5 == 0 => drop(bed.cut(Lose::Some, None, round)),
                5 if round % 9 == 0 => drop(bed.back_to("x")),
                _ => {}
            }
            let mut history = bed.disk.history.lock();
            let log = history.as_mut().unwrap();
            let look = |log: &Log| {
                let now = Instant::now();
                let done = log.entries.iter().filter_map(|entry| match entry {
                    Entry::Flush { covers, from, .. } if *from <= now => Some(*covers),
                    _ => None,
                });
                done.max().unwrap_or(0).saturating_sub(log.forgotten) as usize
            };
            // A flush may do its work between the two looks.
            let (looked, known, later) = (look(log), log.durable(), look(log));
            assert!((looked..=later).contains(&known), "{keep:?}: {known}, not {looked}");
        }
    }
}

/// Plays a log onto the golden image as `replay-log` does, up to a mark; the disk, and how many entries were played.
/// That program was tried with our logs, and refuses what is refused here.
fn replay(log: &[u8], golden: &mut [u8], end_mark: &str) -> u64 {
    let word = |at: usize| u64::from_le_bytes(log[at..at + 8].try_into().unwrap());
    assert_eq!(
        (word(0), word(8), log[24..28].to_vec()),
        (0x006a_7366_7773_6872, 1, 512u32.to_le_bytes().to_vec())
    );
    assert!(word(16) > 0, "a log without an entry");
    let mut at = 512;
    for number in 1..=word(16) {
        let (sector, sectors, flags, len) = (word(at), word(at + 8), word(at + 16), word(at + 24) as usize);
        let name = String::from_utf8_lossy(&log[at + 32..at + 32 + len]).into_owned();
        assert!(flags != 0 || sectors != 0, "an entry that is nothing");
        assert!(flags == 8 || log[at + 32] == 0, "a header that is not padded");
        assert!(flags == 8 || len == 0);
        assert!(
            flags != 4 || sectors * 512 <= 128 << 20,
            "a discard that is passed over"
        );
        at += 512;
        let range = (sector * 512) as usize..((sector + sectors) * 512) as usize;
        match flags {
            4 => golden[range].fill(0),
            0 => {
                golden[range.clone()].copy_from_slice(&log[at..at + range.len()]);
                at += range.len();
            }
            8 if name == end_mark => return number,
            _ => assert_eq!(sectors, 0),
        }
    }
    assert_eq!(at, log.len());
    word(16)
}

#[test]
fn an_exported_log_replays_to_every_state() {
    let bed = bed(ALL);
    let golden = bed.bytes();
    bed.write(3, 8, 1);
    bed.flush();
    bed.disk.history.mark("middle");
    let middle = bed.bytes();
    bed.disk.zero(512, 8192).unwrap();
    bed.write(64, 2, 5);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    assert_eq!(bed.disk.history.export(&path, LEN).unwrap(), (6, LEN));
    let log = std::fs::read(&path).unwrap();
    let mut disk = golden.clone();
    assert_eq!(replay(&log, &mut disk, "middle"), 3);
    assert!(disk == middle);
    disk = golden;
    assert_eq!(replay(&log, &mut disk, "dm-log-writes-end"), 6);
    assert!(disk == bed.bytes());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing half-made");
}

#[test]
fn an_early_flush_is_none_in_a_log() {
    let bed = bed(ALL);
    let golden = bed.bytes();
    bed.write(0, 8, 1);
    bed.disk.history.flush(u64::MAX, Duration::from_millis(1));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    // The write, and the end.
    assert_eq!(bed.disk.history.export(&path, LEN).unwrap(), (2, LEN));
    bed.flush();
    assert_eq!(bed.disk.history.export(&path, LEN).unwrap(), (3, LEN));
    let mut replayed = golden;
    replay(&std::fs::read(&path).unwrap(), &mut replayed, "");
    assert!(replayed == bed.bytes());
}

#[test]
fn a_log_that_would_not_be_whole_is_refused() {
    let refused = |bed: &Bed| {
        bed.disk
            .history
            .export(Path::new("/nonexistent/log"), LEN)
            .unwrap_err()
            .to_string()
    };
    insta::assert_snapshot!(
        refused(&bed(Keep::Volatile)),
        @"the history does not go back to the golden image: only what is not durable is kept; start the device with --history"
    );
    insta::assert_snapshot!(
        refused(&bed(ALL)),
        @"cannot write the log /nonexistent/log: No such file or directory (os error 2)"
    );
    let small = bed(Keep::All { bytes_max: 1 });
    small.write(0, 8, 1);
    small.flush();
    small.write(0, 8, 2);
    insta::assert_snapshot!(refused(&small), @"the history does not go back to the golden image: its oldest part was forgotten; give --history more bytes");
}

#[test]
fn what_was_cut_off_comes_back_with_a_mark_unless_there_was_no_room_to_keep_it() {
    let small = bed(Keep::All { bytes_max: 16 << 10 });
    small.disk.history.mark("a");
    small.write(100, 8, 1);
    small.disk.resize(LEN / 2).unwrap();
    small.disk.history.mark("b");
    small.disk.resize(LEN).unwrap();
    assert!(small.bytes()[LEN as usize / 2..].iter().all(|byte| *byte == 0));
    small.back_to("b").unwrap();
    assert_eq!(small.disk.bytes(), LEN / 2);
    small.back_to("a").unwrap();
    assert_eq!(small.bytes()[100 * 512], 100 | 0x80, "the image's own");
    small.disk.history.mark("c");
    for sector in (64..128).step_by(8) {
        small.write(sector, 8, 2);
        small.flush();
    }
    small.disk.resize(LEN / 2).unwrap();
    small.disk.history.mark("d");
    // 32 KiB were cut off.
    insta::assert_snapshot!(small.back_to("c").unwrap_err(), @"no mark `c` to go back to: known marks: d");
    small.back_to("d").unwrap();
    assert_eq!(small.disk.bytes(), LEN / 2);
}

#[test]
fn a_request_that_changes_a_place_twice_is_torn_as_one() {
    for seed in 0..60 {
        let bed = bed(Keep::Volatile);
        write_and_flip(&bed, 8, 8, 100);
        let torn = bed.cut(Lose::All, Some(Torn::Sector), seed).torn_bytes.unwrap();
        // Never whole: a write that is torn lacks its last sector at least.
        assert!(torn < 4096, "{torn} of 4096 bytes");
        let bytes = bed.bytes();
        let there = bytes[4096..8192].iter().filter(|byte| matches!(byte, 7 | 8)).count();
        assert_eq!(there as u64, torn);
        assert_eq!(bytes[4096 + 100] == 8, torn > 0);
    }
}

#[test]
fn a_mark_outlives_a_power_cut_and_the_log_has_both() {
    for storage in [
        Storage::Memory,
        Storage::File {
            dir: std::env::temp_dir(),
        },
    ] {
        let bed = bed_in(ALL, &storage);
        let golden = bed.bytes();
        bed.write(0, 8, 1);
        bed.flush();
        bed.write(8, 8, 2);
        bed.disk.history.mark("before");
        let marked = bed.bytes();
        bed.write(4, 8, 3);
        bed.disk.history.mark("dying");
        let dying = bed.bytes();
        assert_eq!(bed.cut(Lose::All, None, 0).lost, 2);
        let dark = bed.bytes();
        bed.write(16, 8, 4);
        // Durable by the cut, and the write after it is not.
        assert_eq!(bed.cut(Lose::All, None, 0).lost, 1);
        assert!(bed.bytes() == dark);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        bed.disk.history.export(&path, LEN).unwrap();
        let log = std::fs::read(&path).unwrap();
        for (mark, state) in [("before", &marked), ("dying", &dying), ("", &dark)] {
            let mut replayed = golden.clone();
            replay(&log, &mut replayed, mark);
            assert!(replayed == *state, "{mark}");
        }
        for (mark, state) in [("dying", &dying), ("before", &marked)] {
            bed.back_to(mark).unwrap();
            assert!(bed.bytes() == *state, "{mark}");
        }
    }
}

proptest! {
    #[test]
    fn going_back_is_exact(steps in proptest::collection::vec(step(), 1..60), in_file: bool) {
        let dir = std::env::temp_dir();
        let bed = bed_in(ALL, &if in_file { Storage::File { dir } } else { Storage::Memory });
        let golden = bed.bytes();
        let mut durable = bed.bytes();
        let mut marks: Vec<(u8, Vec<u8>)> = Vec::new();
        for step in steps {
            let mut expected = bed.bytes();
            let went_back = bed.make(&step);
            match step {
                Move::Write(..) | Move::WriteBytes(..) | Move::Flip(..) | Move::Zero(..) => {}
                Move::Flush => durable = bed.bytes(),
                Move::Mark(name) => marks.push((name, bed.bytes())),
                Move::BackTo(name) => {
                    let known = marks.iter().rposition(|(mark, _)| *mark == name);
                    prop_assert_eq!(went_back, known.is_some());
                    if let Some(at) = known {
                        marks.truncate(at + 1);
                        prop_assert!(bed.bytes() == marks[at].1);
                        durable = bed.bytes();
                    }
                }
                Move::Cut(lose, torn, _) => {
                    match (lose, torn) {
                        (Lose::All, None) => prop_assert!(bed.bytes() == durable),
                        (Lose::None, None) => prop_assert!(bed.bytes() == expected),
                        _ => prop_assert_eq!(bed.bytes().len(), expected.len()),
                    }
                    durable = bed.bytes();
                }
                Move::Resize(sectors) => {
                    expected.resize((sectors * 512) as usize, 0);
                    prop_assert!(bed.bytes() == expected);
                    // At once, and it makes nothing else so.
                    durable.resize((sectors * 512) as usize, 0);
                }
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let (_, disk_bytes) = bed.disk.history.export(&path, LEN).unwrap();
        let mut replayed = golden;
        replayed.resize(disk_bytes as usize, 0);
        replay(&std::fs::read(&path).unwrap(), &mut replayed, "");
        let (replayed, beyond) = replayed.split_at(bed.disk.bytes() as usize);
        prop_assert!(replayed == bed.bytes());
        prop_assert!(bed.disk.bytes() <= LEN || beyond.iter().all(|byte| *byte == 0));
    }
}
