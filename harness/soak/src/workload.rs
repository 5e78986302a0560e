//! What fio does in a round: the disk is cut into slots, and each round gives every slot another job, by the round's
//! seed.
//!
//! Every job of a slot has one block size and a pattern of its own, in which the block's place stands, so any block's
//! content follows from round, slot and place, and a block that is older, lies elsewhere, or lacks a part differs. What
//! wrote it is not asked again: reading is a fio of its own.

use std::fmt::Write as _;

use guest_wire::soak::Range;
use vhost_blk_api::rng::Rng;

pub(crate) const SLOT_BYTES: u64 = 1 << 20;
/// Slots of the disk.
pub(crate) const SLOTS: u64 = 8;
/// Before and after the slots lies a part that no job writes, so that misdirected data can also go astray.
const MARGIN_BYTES: u64 = 1 << 20;
/// Size of the disk.
pub(crate) const DISK_BYTES: u64 = MARGIN_BYTES * 2 + SLOTS * SLOT_BYTES;
/// Bytes of a slot's pattern. It is a prime, so that no row of sectors in a block repeats another: data that is
/// misdirected by any number of sectors differs.
const PATTERN_BYTES: usize = 257;
/// Bytes of a block's place in its pattern (fio's `%o`).
const PLACE_BYTES: usize = 8;
/// Bytes at once when a slot is zeroed.
const ZERO_STEP_BYTES: u64 = 64 << 10;

/// Errors that a rule may make, and a block that differs: fio goes on after EIO, EOPNOTSUPP and EILSEQ.
const GO_ON: &str = "continue_on_error=all\nerror_dump=1\nignore_error=5:95:84,5:95:84,5:95:84";

/// What is done to a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Every block is written once.
    Write {
        /// fio's `rw`.
        rw: &'static str,
        /// fio's I/O engine.
        engine: &'static str,
        /// Requests at once.
        depth: u64,
        /// How the job makes durable what it wrote, as options of fio's.
        durable: String,
    },
    /// Every block is trimmed by fio.
    Trim,
    /// Every block is zeroed by `BLKZEROOUT`.
    Zero,
}

/// A slot in a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Its name in fio's job files.
    pub(crate) name: String,
    /// Where it lies.
    pub(crate) range: Range,
    /// Block size in bytes.
    pub(crate) block: u64,
    /// What is done to it.
    pub(crate) kind: Kind,
    /// fio's `verify_pattern`.
    pattern: String,
    /// The pattern's first bytes, for rules that look at them.
    pub(crate) prefix: [u8; 4],
}

/// A round's work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Workload {
    /// All slots, by their place.
    pub(crate) slots: Vec<Slot>,
    /// Seed of fio's own choices.
    seed: u64,
    /// fio's options for the job that only reads, all over the disk.
    reader: String,
}

/// One out of these.
pub(super) fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    let index = usize::try_from(rng.below(from.len() as u64)).unwrap_or(0);
    from[index]
}

impl Workload {
    /// The work of a round.
    #[must_use]
    pub(crate) fn of(seed: u64) -> Workload {
        let mut rng = Rng::for_choice(seed, "workload", 0);
        let trimmed = rng.below(SLOTS);
        let zeroed = (trimmed + 1 + rng.below(SLOTS - 1)) % SLOTS;
        let slots = (0..SLOTS)
            .map(|number| Slot::of(&mut rng, number, number == trimmed, number == zeroed))
            .collect();
        let reader = format!(
            "rw=randread\nbs={}\nioengine={}\niodepth={}\nio_size={}k",
            pick(&mut rng, &["512", "4k", "16k", "512-64k"]),
            pick(&mut rng, &["libaio", "io_uring", "psync"]),
            1 + rng.below(4),
            256 + rng.below(512),
        );
        Workload {
            slots,
            seed: rng.below(1 << 31),
            reader,
        }
    }

    /// What is zeroed while fio writes.
    #[must_use]
    pub(crate) fn zeroed(&self) -> Vec<Range> {
        let zeroed = self.slots.iter().filter(|slot| slot.kind == Kind::Zero);
        zeroed
            .flat_map(|slot| {
                (slot.range.offset..slot.range.offset + slot.range.len)
                    .step_by(usize::try_from(ZERO_STEP_BYTES).unwrap_or(usize::MAX))
                    .map(|offset| Range {
                        offset,
                        len: ZERO_STEP_BYTES,
                    })
            })
            .collect()
    }

    /// The job file of what is done.
    #[must_use]
    pub(crate) fn writing(&self) -> String {
        let mut jobs = self.global(1);
        for slot in &self.slots {
            let done = match &slot.kind {
                Kind::Write {
                    rw,
                    engine,
                    depth,
                    durable,
                } => format!(
                    "rw={rw}\nioengine={engine}\niodepth={depth}\nverify=pattern\nverify_pattern={}\n\
                    do_verify=0{durable}",
                    slot.pattern
                ),
                Kind::Trim => "rw=randtrim\nioengine=psync".to_owned(),
                Kind::Zero => continue,
            };
            slot.section(&mut jobs, &done);
        }
        let _ = write!(jobs, "[reader]\noffset=0\nsize={DISK_BYTES}\n{}\n", self.reader);
        jobs
    }

    /// The job file of reading all that was done, slot after slot, comparing.
    #[must_use]
    pub(crate) fn reading(&self, pass: u64) -> String {
        let mut jobs = self.global(1 + pass);
        let mut rng = Rng::for_choice(self.seed, "reading", pass);
        for slot in &self.slots {
            let done = format!(
                "stonewall\nrw={}\nioengine={}\niodepth={}\nverify=pattern\nverify_pattern={}\nverify_fatal=0",
                pick(&mut rng, &["read", "randread"]),
                pick(&mut rng, &["libaio", "io_uring"]),
                1 + rng.below(16),
                slot.pattern
            );
            slot.section(&mut jobs, &done);
        }
        jobs
    }

    fn global(&self, run: u64) -> String {
        format!(
            "[global]\nfilename={}\ndirect=1\nthread=1\ndisk_util=0\nallrandrepeat=1\nrandseed={}\n{GO_ON}\n",
            guest_wire::soak::DISK,
            self.seed + run
        )
    }

    /// The slot in which a byte of the disk lies.
    #[must_use]
    pub(crate) fn slot_at(&self, offset: u64) -> Option<&Slot> {
        let holds = |slot: &&Slot| (slot.range.offset..slot.range.offset + slot.range.len).contains(&offset);
        self.slots.iter().find(holds)
    }

    /// Work on slots with these numbers and block sizes, for tests of what was recorded.
    #[cfg(test)]
    pub(super) fn recorded(slots: &[(u64, u64)]) -> Workload {
        let mut workload = Workload::of(0);
        workload.slots = slots
            .iter()
            .map(|(number, block)| Slot {
                block: *block,
                ..Slot::of(&mut Rng::for_choice(0, "recorded", 0), *number, false, false)
            })
            .collect();
        workload
    }
}

impl Slot {
    fn of(rng: &mut Rng, number: u64, trimmed: bool, zeroed: bool) -> Slot {
        let range = Range {
            offset: MARGIN_BYTES + number * SLOT_BYTES,
            len: SLOT_BYTES,
        };
        let name = format!("slot{number}");
        let bytes: Vec<u8> = (0..PATTERN_BYTES - PLACE_BYTES)
            .map(|_| u8::try_from(rng.below(256)).unwrap_or(0))
            .collect();
        let mut pattern = bytes.iter().fold("0x".to_owned(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        pattern.push_str("%o");
        let prefix = [bytes[0], bytes[1], bytes[2], bytes[3]];
        // Discards are as long as the device says, and no shorter than a page.
        let coarse = [4 << 10, 16 << 10, 64 << 10];
        if trimmed || zeroed {
            return Slot {
                name,
                range,
                block: pick(rng, &coarse),
                kind: if trimmed { Kind::Trim } else { Kind::Zero },
                pattern: "0x00".to_owned(),
                prefix,
            };
        }
        let every = 1 + rng.below(64);
        let kind = Kind::Write {
            rw: pick(rng, &["randwrite", "randwrite", "write", "trimwrite"]),
            engine: pick(rng, &["libaio", "libaio", "io_uring", "io_uring", "psync"]),
            depth: 1 + rng.below(16),
            durable: match rng.below(5) {
                0 => String::new(),
                1 => format!("\nfsync={every}"),
                2 => format!("\nfdatasync={every}"),
                3 => "\nend_fsync=1".to_owned(),
                _ => format!("\nfsync={every}\nend_fsync=1"),
            },
        };
        let trims = matches!(kind, Kind::Write { rw: "trimwrite", .. });
        let fine = [
            512,
            1 << 10,
            4 << 10,
            4 << 10,
            8 << 10,
            16 << 10,
            32 << 10,
            64 << 10,
            128 << 10,
        ];
        Slot {
            name,
            range,
            block: if trims { pick(rng, &coarse) } else { pick(rng, &fine) },
            kind,
            pattern,
            prefix,
        }
    }

    /// Whether it is to hold zeros.
    #[must_use]
    pub(crate) fn is_zeros(&self) -> bool {
        !matches!(self.kind, Kind::Write { .. })
    }

    #[must_use]
    pub(crate) fn blocks(&self) -> u64 {
        self.range.len / self.block
    }

    fn section(&self, jobs: &mut String, done: &str) {
        let _ = write!(
            jobs,
            "[{}]\noffset={}\nsize={}\nbs={}\n{done}\n",
            self.name, self.range.offset, self.range.len, self.block
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_follows_from_its_seed_alone() {
        let workload = Workload::of(7);
        assert_eq!(workload, Workload::of(7));
        assert_ne!(workload, Workload::of(8));
        assert_ne!(workload.reading(1), workload.reading(2));
        assert_eq!(workload.slots.iter().filter(|slot| slot.kind == Kind::Trim).count(), 1);
        assert_eq!(workload.slots.iter().filter(|slot| slot.kind == Kind::Zero).count(), 1);
        let zeroed: u64 = workload.zeroed().iter().map(|range| range.len).sum();
        assert_eq!(zeroed, SLOT_BYTES);
    }

    #[test]
    fn no_row_of_sectors_in_a_block_repeats_another() {
        let longest = 128 << 10;
        assert!(
            (512..longest)
                .step_by(512)
                .all(|distance| distance % PATTERN_BYTES != 0)
        );
    }

    #[test]
    fn slots_are_found_by_place() {
        let workload = Workload::of(1);
        assert_eq!(workload.slot_at(0), None);
        assert_eq!(workload.slot_at(MARGIN_BYTES), workload.slots.first());
        assert_eq!(workload.slot_at(DISK_BYTES - MARGIN_BYTES - 1), workload.slots.last());
        assert_eq!(workload.slot_at(DISK_BYTES - MARGIN_BYTES), None);
    }
}
