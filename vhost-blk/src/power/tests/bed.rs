//! A disk with a history, and what is done to it.

use std::io::Write;
use std::time::Duration;

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;
use vhost_blk_api::control::Cut;
use vhost_blk_api::plan::{Lose, Torn};
use vm_memory::VolatileSlice;

use crate::disk::{Disk, Storage};
use crate::power::log::{Keep, UnknownMark};
use crate::power::survivors::PowerCut;

pub(super) const LEN: u64 = 64 << 10;

pub(super) struct Bed {
    pub(super) disk: Disk,
    _image: tempfile::NamedTempFile,
}

pub(super) fn bed(keep: Keep) -> Bed {
    bed_in(keep, &Storage::Memory)
}

pub(super) fn bed_in(keep: Keep, storage: &Storage) -> Bed {
    let mut image = tempfile::NamedTempFile::new().unwrap();
    let golden: Vec<u8> = (0..LEN).map(|at| (at / 512) as u8 | 0x80).collect();
    image.write_all(&golden).unwrap();
    let disk = Disk::open_in(image.path(), 512, storage).unwrap();
    disk.keep_history(keep);
    Bed { disk, _image: image }
}

impl Bed {
    pub(super) fn write(&self, sector: u64, sectors: u64, fill: u8) {
        if sectors == 0 {
            return;
        }
        let mut bytes = vec![fill; (sectors * 512) as usize];
        self.disk
            .write(sector * 512, &VolatileSlice::from(&mut bytes[..]))
            .unwrap();
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.disk.bytes() as usize];
        self.disk.read(0, &VolatileSlice::from(&mut bytes[..])).unwrap();
        bytes
    }

    pub(super) fn cut(&self, lose: Lose, torn: Option<Torn>, seed: u64) -> Cut {
        self.disk
            .history
            .cut(PowerCut { lose, torn, seed }, &mut &self.disk)
            .unwrap()
    }

    pub(super) fn flush(&self) {
        self.disk.history.flush(u64::MAX, Duration::ZERO);
    }

    pub(super) fn back_to(&self, mark: &str) -> Result<usize, UnknownMark> {
        self.disk.history.back_to(mark, &mut &self.disk)
    }
}

pub(super) const ALL: Keep = Keep::All { bytes_max: u64::MAX };

#[derive(Debug, Clone)]
pub(super) enum Move {
    Write(u64, u64, u8),
    /// Bytes that need not be whole sectors, as a rule leaves them.
    WriteBytes(u64, u64, u8),
    /// A write, of which a byte is then changed.
    Flip(u64, u64, u64),
    Zero(u64, u64),
    Flush,
    Mark(u8),
    BackTo(u8),
    Cut(Lose, Option<Torn>, u64),
    /// To so many sectors.
    Resize(u64),
}

pub(super) fn step() -> impl Strategy<Value = Move> {
    let range = || (0u64..120, 1u64..=8);
    prop_oneof![
        4 => (range(), any::<u8>()).prop_map(|((sector, sectors), fill)| Move::Write(sector, sectors, fill)),
        2 => (0u64..60_000, 1u64..3000, any::<u8>()).prop_map(|(at, len, fill)| Move::WriteBytes(at, len, fill)),
        1 => (range(), any::<u64>()).prop_map(|((sector, sectors), byte)| Move::Flip(sector, sectors, byte)),
        2 => range().prop_map(|(sector, sectors)| Move::Zero(sector, sectors)),
        1 => Just(Move::Flush),
        1 => (0u8..3).prop_map(Move::Mark),
        1 => (0u8..3).prop_map(Move::BackTo),
        1 => (
            select(vec![Lose::All, Lose::Some, Lose::None]),
            select(vec![None, Some(Torn::Sector), Some(Torn::Page)]),
            any::<u64>(),
        )
            .prop_map(|(lose, torn, seed)| Move::Cut(lose, torn, seed)),
        2 => prop_oneof![1u64..300, Just(128), (1u64..40).prop_map(|blocks| blocks * 8)].prop_map(Move::Resize),
    ]
}

impl Bed {
    /// Does it; whether there was a mark to go back to.
    pub(super) fn make(&self, step: &Move) -> bool {
        match *step {
            Move::Write(sector, sectors, fill) => self.write(sector, on_disk(self, sector, sectors), fill),
            Move::WriteBytes(at, len, fill) => {
                let len = self.disk.bytes().saturating_sub(at).min(len);
                let mut bytes = vec![fill; len as usize];
                self.disk
                    .write(at, &VolatileSlice::from(&mut bytes[..]))
                    .unwrap_or_else(|_| assert_eq!(len, 0));
            }
            Move::Flip(sector, sectors, byte) => {
                let sectors = on_disk(self, sector, sectors);
                if sectors > 0 {
                    write_and_flip(self, sector, sectors, byte);
                }
            }
            Move::Zero(sector, sectors) => {
                let sectors = on_disk(self, sector, sectors);
                if sectors > 0 {
                    self.disk.zero(sector * 512, sectors * 512).unwrap();
                }
            }
            Move::Flush => self.flush(),
            Move::Mark(name) => self.disk.history.mark(&name.to_string()),
            Move::BackTo(name) => return self.back_to(&name.to_string()).is_ok(),
            Move::Cut(lose, torn, seed) => drop(self.cut(lose, torn, seed)),
            Move::Resize(sectors) => self.disk.resize(sectors * 512).unwrap(),
        }
        true
    }
}

/// What of a row of sectors lies on the disk.
pub(super) fn on_disk(bed: &Bed, sector: u64, sectors: u64) -> u64 {
    (bed.disk.bytes() / 512).saturating_sub(sector).min(sectors)
}

/// One request's changes, as of a flip: all of it, and then a byte once more.
pub(super) fn write_and_flip(bed: &Bed, sector: u64, sectors: u64, byte: u64) {
    let mut bytes = vec![7; (sectors * 512) as usize];
    let mut changes = bed.disk.change(None);
    let (offset, mut flipped) = (sector * 512, [8]);
    changes.write(offset, &VolatileSlice::from(&mut bytes[..])).unwrap();
    changes
        .write(offset + byte % (sectors * 512), &VolatileSlice::from(&mut flipped[..]))
        .unwrap();
}
