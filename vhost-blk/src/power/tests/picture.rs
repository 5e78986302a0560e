//! A picture of a state against the state itself: what an export shows is what going back and a real power cut make of
//! the disk.

use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::select;
use vhost_blk_api::control::Cut;
use vhost_blk_api::plan::{Lose, Torn};

use super::bed::{ALL, Bed, Move, bed_in, step};
use crate::disk::Storage;
use crate::disk::export::export;
use crate::power::log::Keep;
use crate::power::picture::StateRequest;
use crate::power::survivors::PowerCut;

impl Bed {
    /// What an export shows.
    fn picture(&self, wanted: &StateRequest<'_>) -> Result<(Vec<u8>, Option<Cut>), String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("export");
        let before = self.bytes();
        let exported = export(&self.disk, &path, wanted);
        assert!(self.bytes() == before, "an export changes nothing");
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            usize::from(exported.is_ok())
        );
        let exported = exported.map_err(|error| error.to_string())?;
        Ok((std::fs::read(path).unwrap(), exported.cut))
    }
}

fn memory(keep: Keep) -> Bed {
    bed_in(keep, &Storage::Memory)
}

fn power_cut() -> impl Strategy<Value = Option<PowerCut>> {
    let torn = select(vec![None, Some(Torn::Sector), Some(Torn::Page)]);
    let lose = select(vec![Lose::All, Lose::Some, Lose::None]);
    proptest::option::of((lose, torn, any::<u64>()).prop_map(|(lose, torn, seed)| PowerCut { lose, torn, seed }))
}

proptest! {
    #[test]
    fn a_picture_is_the_real_thing(
        steps in proptest::collection::vec(step(), 1..50),
        more in proptest::collection::vec(step(), 0..30),
        power_cut in power_cut(),
        in_file: bool,
    ) {
        let dir = std::env::temp_dir();
        let storage = if in_file { Storage::File { dir } } else { Storage::Memory };
        let (bed, twin) = (bed_in(ALL, &storage), memory(ALL));
        for step in &steps {
            bed.make(step);
            twin.make(step);
        }
        // The twin goes no further than the mark, and loses its power there.
        bed.make(&Move::Mark(77));
        let cut = power_cut.map(|PowerCut { lose, torn, seed }| twin.cut(lose, torn, seed));
        let real = (twin.bytes(), cut);
        // What takes the mark away has no place here.
        let more = more.iter().filter(|step| !matches!(step, Move::BackTo(_) | Move::Cut(..)));
        for step in more {
            bed.make(step);
        }
        let then = bed.picture(&StateRequest { at: Some("77"), power_cut }).unwrap();
        prop_assert_eq!(then.1, real.1);
        prop_assert!(then.0 == real.0, "at the mark");
        let now = bed.picture(&StateRequest { at: None, power_cut }).unwrap();
        let cut = power_cut.map(|PowerCut { lose, torn, seed }| bed.cut(lose, torn, seed));
        prop_assert_eq!(now.1, cut);
        prop_assert!(now.0 == bed.bytes(), "now");
    }
}

#[test]
fn what_is_not_known_is_said() {
    let wanted = |at| StateRequest {
        at,
        power_cut: Some(PowerCut {
            lose: Lose::All,
            torn: None,
            seed: 0,
        }),
    };
    let small = memory(Keep::All { bytes_max: 1 });
    let refused = |wanted: &StateRequest<'_>| small.picture(wanted).unwrap_err();
    insta::assert_snapshot!(
        refused(&wanted(Some("x"))),
        @"cannot export the disk: no mark `x` to go back to: known marks: none"
    );
    let cheap = memory(Keep::Volatile);
    cheap.write(0, 8, 1);
    cheap.disk.history.mark("x");
    // What is durable now is known, and no mark.
    assert_eq!(cheap.picture(&wanted(None)).unwrap().1.unwrap().lost, 1);
    insta::assert_snapshot!(
        cheap.picture(&wanted(Some("x"))).unwrap_err(),
        @"cannot export the disk: no mark `x` to go back to: known marks: none; start the device with --history to keep what is needed"
    );
}

#[test]
fn what_went_for_want_of_room_matters_only_if_it_was_not_durable_at_the_mark() {
    // Five writes, and what it takes to keep them.
    let bed = memory(Keep::All { bytes_max: 22 << 10 });
    bed.write(0, 8, 1);
    bed.flush();
    let durable = bed.bytes();
    bed.write(8, 8, 2);
    bed.disk.history.mark("x");
    let there = bed.bytes();
    bed.flush();
    let wanted = |lose| StateRequest {
        at: Some("x"),
        power_cut: Some(PowerCut {
            lose,
            torn: None,
            seed: 0,
        }),
    };
    let nothing_lost = wanted(Lose::None);
    for sector in [16, 24] {
        bed.write(sector, 8, 3);
        bed.flush();
        assert!(bed.picture(&wanted(Lose::All)).unwrap().0 == durable);
        assert!(bed.picture(&nothing_lost).unwrap().0 == there);
    }
    // The write before the first flush goes, then the flush, then the one after it.
    bed.write(32, 8, 3);
    bed.write(40, 8, 3);
    assert!(bed.picture(&wanted(Lose::All)).unwrap().0 == durable);
    bed.write(48, 8, 3);
    insta::assert_snapshot!(
        bed.picture(&nothing_lost).unwrap_err(),
        @"cannot export the disk: the history does not go back to what was durable at mark `x`: give --history more bytes"
    );
    // As it stood then is known without that.
    let plain = StateRequest {
        at: Some("x"),
        power_cut: None,
    };
    assert!(bed.picture(&plain).unwrap().0 == there);
}

#[test]
fn a_disk_without_history_is_shown_as_it_stands_and_no_other_way() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    std::fs::write(&image, [7; 8192]).unwrap();
    let disk = crate::disk::Disk::open(&image, 512).unwrap();
    let out = dir.path().join("out");
    assert_eq!(export(&disk, &out, &StateRequest::default()).unwrap().data_bytes, 8192);
    let wanted = StateRequest {
        at: Some("x"),
        power_cut: None,
    };
    insta::assert_snapshot!(
        export(&disk, &out, &wanted).unwrap_err(),
        @"cannot export the disk: no history is kept, and so nothing is known of what was and what is durable: start the device with --history"
    );
    assert_eq!(
        std::fs::read(&out).unwrap(),
        [7; 8192],
        "the file that was there is left alone"
    );
}
