//! Data that is moved otherwise than it should: how it is read and explained.

use super::parts::Sectors;
use crate::plan::error::Problem;
use crate::plan::values::Args;
use crate::plan::word::Misfit;

/// How the data of a corrupted request differs from what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Corruption {
    /// This many bits, at places that the seed chooses, are inverted.
    Flip(u32),
    /// These sectors are zeros, whatever was there.
    Zero(Sectors),
    /// These sectors are an older version: of the golden image when read, not written when written.
    Stale(Sectors),
    /// The data goes to, or comes from, this many sectors further on (or back). Beyond the disk there is nothing: such
    /// a write is lost, and zeros are read.
    Misdirect(i64),
}

/// Just one of the keys that say how data is corrupted.
pub(super) fn parse_corruption(args: &mut Args<'_>) -> Result<Corruption, Misfit> {
    const KEYS: [&str; 4] = ["flip", "zero", "stale", "misdirect"];
    let mut how: Option<(&'static str, Corruption)> = None;
    for key in KEYS {
        let Some(arg) = args.take(key) else { continue };
        if let Some((other, _)) = how {
            return Err(arg.word.misfit(Problem::Exclude { key, other }));
        }
        let corruption = match key {
            "flip" => Corruption::Flip(arg.bits()?),
            "zero" => Corruption::Zero(arg.row()?),
            "stale" => Corruption::Stale(arg.row()?),
            _ => Corruption::Misdirect(arg.offset()?),
        };
        how = Some((key, corruption));
    }
    let missing = || {
        args.action.misfit(Problem::Missing {
            action: args.action.text.to_owned(),
            key: "flip`, `zero`, `stale` or `misdirect",
            example: "corrupt read flip=1bit",
        })
    };
    how.map(|(_, corruption)| corruption).ok_or_else(missing)
}

/// How the data differs, as part of a sentence.
pub(super) fn corruption(how: Corruption) -> String {
    match how {
        Corruption::Flip(1) => "one bit of its data, chosen by the seed, is inverted".to_owned(),
        Corruption::Flip(bits) => format!("{bits} bits of its data, chosen by the seed, are inverted"),
        Corruption::Zero(sectors) => format!("{} zeros", of_it(sectors)),
        Corruption::Stale(sectors) => format!("{} an older version", of_it(sectors)),
        Corruption::Misdirect(by) => {
            let side = if by < 0 { "before" } else { "after" };
            let unit = if by.unsigned_abs() == 1 { "sector" } else { "sectors" };
            format!("its data lies {} {unit} {side} where it should", by.unsigned_abs())
        }
    }
}

fn of_it(sectors: Sectors) -> String {
    match sectors {
        Sectors::All => "all of its sectors are".to_owned(),
        Sectors::Some(1) => "one of its sectors, chosen by the seed, is".to_owned(),
        Sectors::Some(count) => format!("{count} of its sectors, chosen by the seed, are"),
    }
}
