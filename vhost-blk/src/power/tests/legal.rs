//! The states that can be presented at a mark against a model of what a power cut may leave: the two sets are the same.
//!
//! The model knows nothing of how the history is kept. It has the times at which requests arrived and were completed
//! and at which flushes were submitted and answered, and takes every subset, order and tear that they allow.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::Write;
use std::time::Duration;

use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use vhost_blk_api::op::SECTOR_BYTES;
use vhost_blk_api::plan::{Lose, Torn};
use vm_memory::VolatileSlice;

use super::bed::ALL;
use crate::disk::Disk;
use crate::power::change::Content;
use crate::power::choice::{Losing, Tearing, Undecided, Wanted};
use crate::power::in_flight::Flight;
use crate::power::present::State;

/// Sectors of the disk.
const SECTORS: u64 = 32;
/// Most requests that may be undecided.
const REQUESTS: usize = 8;
/// Most of them in flight: their orders are tried as well.
const IN_FLIGHT: usize = 3;

#[derive(Debug, Clone)]
enum Event {
    /// A request arrives: sectors, and what they are to hold (zeros of a discard).
    Arrive(u64, u64, Option<u8>),
    /// The request that arrived so many ago and is not completed is completed.
    Complete(usize),
    Flush,
    /// The flush that was submitted so many ago is answered.
    Answer(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let fill = prop_oneof![4 => (1u8..120).prop_map(Some), 1 => Just(None)];
    prop_oneof![
        4 => (0u64..SECTORS - 12, prop_oneof![1u64..4, 1u64..=12], fill)
            .prop_map(|(sector, sectors, fill)| Event::Arrive(sector, sectors, fill)),
        4 => (0usize..IN_FLIGHT).prop_map(Event::Complete),
        1 => Just(Event::Flush),
        1 => (0usize..2).prop_map(Event::Answer),
    ]
}

/// A request as the model knows it.
#[derive(Debug, Clone)]
struct Known {
    sectors: (u64, u64),
    fill: Option<u8>,
    completed: Option<usize>,
}

struct Bench {
    disk: Disk,
    _image: tempfile::NamedTempFile,
    requests: Vec<Known>,
    in_flight: Vec<(usize, Flight)>,
    /// Flushes that are not answered: when each was submitted, and what the history was told.
    flushes: Vec<(usize, u64)>,
    /// The latest time at which a flush was submitted that was answered.
    durable_before: usize,
    now: usize,
}

impl Bench {
    fn new() -> Bench {
        let mut image = tempfile::NamedTempFile::new().unwrap();
        let golden: Vec<u8> = (0..SECTORS * SECTOR_BYTES).map(|at| (at / 512) as u8 | 0x80).collect();
        image.write_all(&golden).unwrap();
        let disk = Disk::open(image.path(), 512).unwrap();
        disk.keep_history(ALL);
        Bench {
            disk,
            _image: image,
            requests: Vec::new(),
            in_flight: Vec::new(),
            flushes: Vec::new(),
            durable_before: 0,
            now: 0,
        }
    }

    /// Requests that a power cut now would leave undecided.
    fn undecided(&self) -> usize {
        let durable = |known: &&Known| known.completed.is_some_and(|at| at < self.durable_before);
        self.requests.iter().filter(|known| !durable(known)).count()
    }

    fn apply(&mut self, event: &Event) {
        self.now += 1;
        match *event {
            Event::Arrive(..) if self.in_flight.len() == IN_FLIGHT || self.undecided() == REQUESTS => {}
            Event::Arrive(sector, sectors, fill) => {
                let known = Known {
                    sectors: (sector, sectors),
                    fill,
                    completed: None,
                };
                let flight = self.disk.history.arrived(vec![known.piece()]);
                self.in_flight.push((self.requests.len(), flight));
                self.requests.push(known);
            }
            Event::Complete(which) if which < self.in_flight.len() => {
                let (number, flight) = self.in_flight.remove(which);
                let known = &mut self.requests[number];
                known.completed = Some(self.now);
                put(&self.disk, known, Some(flight.number()));
            }
            Event::Flush => self.flushes.push((self.now, self.disk.history.completed())),
            Event::Answer(which) if which < self.flushes.len() => {
                let (submitted, covers) = self.flushes.remove(which);
                self.durable_before = self.durable_before.max(submitted);
                self.disk.history.flush(covers, Duration::ZERO);
            }
            Event::Complete(_) | Event::Answer(_) => {}
        }
    }

    /// All states that a power cut now may leave, with tears at this unit.
    fn legal(&self, unit: u64) -> HashSet<Vec<u8>> {
        let mut base: Vec<u8> = (0..SECTORS).map(|sector| sector as u8 | 0x80).collect();
        let mut completed: Vec<&Known> = self.requests.iter().filter(|known| known.completed.is_some()).collect();
        completed.sort_by_key(|known| known.completed);
        let is_durable = |known: &&Known| known.completed.is_some_and(|at| at < self.durable_before);
        let (durable, cached): (Vec<&Known>, Vec<&Known>) = completed.into_iter().partition(is_durable);
        durable.iter().for_each(|known| known.lay(u64::MAX, &mut base));
        let flying: Vec<&Known> = self.requests.iter().filter(|known| known.completed.is_none()).collect();
        let mut states = HashSet::new();
        for order in orders(&flying) {
            let row: Vec<&Known> = cached.iter().copied().chain(order).collect();
            for set in 0..1u32 << row.len() {
                let there = |index: usize| set >> index & 1 == 1;
                let tears = (0..row.len()).filter(|index| there(*index));
                let tears = tears.flat_map(|index| row[index].tears(unit).into_iter().map(move |at| (index, at)));
                for torn in std::iter::once((usize::MAX, 0)).chain(tears) {
                    let mut state = base.clone();
                    for (index, known) in row.iter().enumerate().filter(|(index, _)| there(*index)) {
                        known.lay(if index == torn.0 { torn.1 } else { u64::MAX }, &mut state);
                    }
                    states.insert(state);
                }
            }
        }
        states
    }

    fn sectors(&self) -> Vec<u8> {
        let mut bytes = vec![0; (SECTORS * SECTOR_BYTES) as usize];
        self.disk.read(0, &VolatileSlice::from(&mut bytes[..])).unwrap();
        let sectors = bytes.chunks(512).map(|sector| {
            assert!(sector.iter().all(|byte| *byte == sector[0]), "half a sector");
            sector[0]
        });
        sectors.collect()
    }

    fn present(&self, wanted: &Wanted) -> Result<State, String> {
        let state = self.disk.history.present("m", wanted, &mut &self.disk);
        state.map_err(|error| error.to_string())
    }

    /// All states that can be presented; before each the guest does something.
    fn presented(&self, unit: Torn, guest: &[Event]) -> HashSet<Vec<u8>> {
        let undecided = self.disk.history.undecided("m", SECTORS * SECTOR_BYTES).unwrap();
        let mut guest = guest.iter().cycle();
        let mut states = HashSet::new();
        for wanted in all_wanted(&undecided, unit) {
            let state = self.present(&wanted).unwrap();
            assert_eq!(state.undecided, undecided.len());
            states.insert(self.sectors());
            if let Some(Event::Arrive(sector, sectors, fill)) = guest.next() {
                let known = Known {
                    sectors: (*sector, *sectors),
                    fill: *fill,
                    completed: None,
                };
                put(&self.disk, &known, None);
                if sectors % 3 == 0 {
                    self.disk.history.flush(u64::MAX, Duration::ZERO);
                }
            }
        }
        states
    }
}

impl Known {
    /// What it puts where.
    fn piece(&self) -> (u64, Content) {
        let bytes = self.sectors.1 * SECTOR_BYTES;
        let content = match self.fill {
            Some(fill) => Content::Bytes(vec![fill; bytes as usize].into()),
            None => Content::Zeros(bytes),
        };
        (self.sectors.0 * SECTOR_BYTES, content)
    }

    /// After how many sectors it can be torn.
    fn tears(&self, unit: u64) -> Vec<u64> {
        let (sector, sectors) = self.sectors;
        (1..sectors)
            .filter(|at| ((sector + at) * SECTOR_BYTES).is_multiple_of(unit))
            .collect()
    }

    fn lay(&self, most: u64, state: &mut [u8]) {
        let (sector, sectors) = self.sectors;
        let end = sector + sectors.min(most);
        state[sector as usize..end as usize].fill(self.fill.unwrap_or(0));
    }
}

fn put(disk: &Disk, known: &Known, flight: Option<u64>) {
    let (offset, bytes) = (known.sectors.0 * SECTOR_BYTES, known.sectors.1 * SECTOR_BYTES);
    let mut changes = disk.change(flight);
    match known.fill {
        Some(fill) => changes.write(offset, &VolatileSlice::from(&mut vec![fill; bytes as usize][..])),
        None => changes.zero(offset, bytes),
    }
    .unwrap();
}

/// All orders of some things.
fn orders<T: Copy>(things: &[T]) -> Vec<Vec<T>> {
    let Some((first, rest)) = things.split_first() else {
        return vec![Vec::new()];
    };
    let shorter = orders(rest);
    let places = shorter
        .iter()
        .flat_map(|order| (0..=order.len()).map(move |at| (order, at)));
    let with_first = places.map(|(order, at)| {
        let mut order = order.clone();
        order.insert(at, *first);
        order
    });
    with_first.collect()
}

/// Everything that can be asked for.
fn all_wanted(undecided: &[Undecided], unit: Torn) -> Vec<Wanted> {
    let mut all = Vec::new();
    for set in 0..1u32 << undecided.len() {
        let there = |number: &usize| set >> number & 1 == 1;
        let numbers = 0..undecided.len();
        let lost: BTreeSet<usize> = numbers.clone().filter(|number| !there(number)).collect();
        let flying: Vec<usize> = numbers
            .clone()
            .filter(|number| there(number) && undecided[*number].in_flight)
            .collect();
        let tears = numbers.filter(there).flat_map(|request| {
            let tears = undecided[request].tears(unit.bytes()).into_iter();
            tears.map(move |bytes| Some(Tearing::At { request, bytes }))
        });
        let tears: Vec<Option<Tearing>> = std::iter::once(None).chain(tears).collect();
        for order in orders(&flying) {
            all.extend(tears.iter().map(|torn| Wanted {
                lose: Losing::These(lost.clone()),
                order: Some(order.clone()),
                torn: *torn,
                seed: 0,
            }));
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn what_can_be_presented_is_what_a_power_cut_may_leave(
        before in proptest::collection::vec(event(), 1..40),
        after in proptest::collection::vec(event(), 0..20),
        guest in proptest::collection::vec(event(), 1..20),
        unit in proptest::sample::select(vec![Torn::Sector, Torn::Page]),
        seeds in proptest::collection::vec((any::<u64>(), 0usize..3), 8),
    ) {
        let mut bench = Bench::new();
        before.iter().for_each(|event| bench.apply(event));
        let legal = bench.legal(unit.bytes());
        bench.disk.history.mark("m");
        let at_mark = bench.sectors();
        after.iter().for_each(|event| bench.apply(event));
        // It is unmounted before a state is presented.
        for which in 0..bench.in_flight.len() {
            bench.apply(&Event::Complete(which % bench.in_flight.len().max(1)));
        }
        bench.in_flight.clear();
        let presented = bench.presented(unit, &guest);
        prop_assert_eq!(presented.difference(&legal).count(), 0, "illegal states");
        prop_assert_eq!(legal.difference(&presented).count(), 0, "states that cannot be presented");
        // What chance chooses is legal as well.
        for (seed, lose) in seeds {
            let torn = (seed % 3 == 0).then_some(Tearing::Somewhere(unit));
            let lose = [Lose::All, Lose::Some, Lose::None][lose];
            let wanted = Wanted { lose: Losing::As(lose), order: None, torn, seed };
            if bench.present(&wanted).is_ok() {
                prop_assert!(legal.contains(&bench.sectors()));
            }
        }
        // And what had happened stays as it was.
        bench.disk.history.back_to("m", &mut &bench.disk).unwrap();
        prop_assert!(bench.sectors() == at_mark);
    }
}

/// Marks on excursions, in any order.
#[derive(Debug, Clone)]
enum Visit {
    Do(Event),
    Mark,
    /// Presents a state of the mark that was made so many ago.
    Present(usize, u64),
    Resize(u64),
}

fn visit() -> impl Strategy<Value = Visit> {
    prop_oneof![
        8 => event().prop_map(Visit::Do),
        2 => Just(Visit::Mark),
        3 => (0usize..4, any::<u64>()).prop_map(|(which, seed)| Visit::Present(which, seed)),
        1 => (20u64..44).prop_map(Visit::Resize),
    ]
}

proptest! {
    #[test]
    fn an_excursion_from_an_excursion_leaves_all_before_it_as_it_was(
        visits in proptest::collection::vec(visit(), 1..80),
    ) {
        let bench = Bench::new();
        let history = &bench.disk.history;
        // What a state of a mark was when it was first presented.
        let mut known: BTreeMap<(usize, u64), Vec<u8>> = BTreeMap::new();
        let mut marks: Vec<usize> = Vec::new();
        let mut made = 0;
        // Requests of which some land, and others never do.
        let mut flying: Vec<(Known, Flight)> = Vec::new();
        for visit in &visits {
            match *visit {
                Visit::Do(Event::Arrive(sector, sectors, fill)) if sectors % 2 == 0 => {
                    let known = Known { sectors: (sector, sectors), fill, completed: None };
                    if (sector + sectors) * SECTOR_BYTES <= bench.disk.bytes() {
                        let pieces = vec![known.piece()];
                        flying.push((known, history.arrived(pieces)));
                    }
                }
                Visit::Do(Event::Complete(which)) if which < flying.len() => {
                    let (known, flight) = flying.remove(which);
                    let (sector, sectors) = known.sectors;
                    if (sector + sectors) * SECTOR_BYTES <= bench.disk.bytes() {
                        put(&bench.disk, &known, Some(flight.number()));
                    }
                }
                Visit::Do(Event::Arrive(sector, sectors, fill)) => {
                    let known = Known { sectors: (sector, sectors), fill, completed: None };
                    if (sector + sectors) * SECTOR_BYTES <= bench.disk.bytes() {
                        put(&bench.disk, &known, None);
                    }
                }
                Visit::Do(Event::Flush) => history.flush(history.completed(), Duration::ZERO),
                Visit::Do(_) => {}
                // It waits for nothing that is on its way.
                Visit::Resize(sectors) => bench.disk.resize(sectors * SECTOR_BYTES).unwrap(),
                Visit::Mark => {
                    history.mark(&format!("m{made}"));
                    marks.push(made);
                    made += 1;
                }
                Visit::Present(which, seed) if which < marks.len() => {
                    let mark = marks[marks.len() - 1 - which];
                    let seed = seed % 4;
                    let wanted = Wanted { lose: Losing::As(Lose::Some), order: None, torn: None, seed };
                    flying.clear();
                    let before = whole(&bench.disk);
                    if history.present(&format!("m{mark}"), &wanted, &mut &bench.disk).is_err() {
                        prop_assert!(whole(&bench.disk) == before, "what is refused changes nothing");
                        continue;
                    }
                    let state = whole(&bench.disk);
                    let first = known.entry((mark, seed)).or_insert_with(|| state.clone());
                    prop_assert!(*first == state, "m{} with {}", mark, seed);
                    // Marks of what was taken back are gone, and so is what was known of them.
                    marks.retain(|mark| history.knows(&format!("m{mark}")).is_ok());
                }
                Visit::Present(..) => {}
            }
        }
    }
}

fn whole(disk: &Disk) -> Vec<u8> {
    let mut bytes = vec![0; disk.bytes() as usize];
    disk.read(0, &VolatileSlice::from(&mut bytes[..])).unwrap();
    bytes
}

#[test]
fn a_flush_makes_durable_what_was_completed_before_it_was_submitted() {
    let mut bench = Bench::new();
    let write = |bench: &mut Bench, sector| {
        bench.apply(&Event::Arrive(sector, 1, Some(7)));
        bench.apply(&Event::Complete(0));
    };
    write(&mut bench, 0);
    bench.apply(&Event::Flush);
    write(&mut bench, 1);
    bench.apply(&Event::Answer(0));
    bench.disk.history.mark("m");
    let cut = bench.disk.history.undecided("m", SECTORS * SECTOR_BYTES).unwrap();
    assert_eq!(cut.len(), 1, "{cut:?}");
    let wanted = Wanted {
        lose: Losing::As(Lose::All),
        order: None,
        torn: None,
        seed: 0,
    };
    bench.present(&wanted).unwrap();
    assert_eq!(bench.sectors()[..2], [7, 0x81]);
}

#[test]
fn what_no_power_cut_can_leave_is_refused() {
    let mut bench = Bench::new();
    bench.apply(&Event::Arrive(0, 1, Some(1)));
    bench.apply(&Event::Complete(0));
    for sector in [8, 9] {
        bench.apply(&Event::Arrive(sector, 2, Some(2)));
    }
    bench.disk.history.mark("m");
    let refused = |lost: &[usize], order: Option<&[usize]>, torn: Option<Tearing>| {
        let wanted = Wanted {
            lose: Losing::These(lost.iter().copied().collect()),
            order: order.map(<[usize]>::to_vec),
            torn,
            seed: 0,
        };
        bench.present(&wanted).unwrap_err()
    };
    insta::assert_snapshot!(refused(&[3], None, None), @"there is no undecided request 3: they are 0 to 2");
    insta::assert_snapshot!(
        refused(&[], Some(&[0, 1, 2]), None),
        @"request 0 was completed before the mark: only those in flight can come in another order"
    );
    insta::assert_snapshot!(
        refused(&[2], Some(&[2, 1]), None),
        @"request 2 is lost and stands in the order of those that are there: take it out of one of them"
    );
    insta::assert_snapshot!(
        refused(&[], Some(&[2]), None),
        @"request 1 is in flight, is there and does not stand in the order: name each of them once"
    );
    insta::assert_snapshot!(refused(&[], Some(&[2, 1, 2]), None), @"request 2 stands in the order twice");
    insta::assert_snapshot!(
        refused(&[], None, Some(Tearing::At { request: 1, bytes: 1024 })),
        @"request 1 can be torn after each of its sectors but the last (512 to 512 bytes), not after 1024"
    );
    insta::assert_snapshot!(
        refused(&[], None, Some(Tearing::At { request: 0, bytes: 512 })),
        @"request 0 can be torn nowhere, it is one sector, not after 512"
    );
    insta::assert_snapshot!(
        refused(&[], None, Some(Tearing::At { request: 7, bytes: 512 })),
        @"there is no undecided request 7: they are 0 to 2"
    );
    insta::assert_snapshot!(
        refused(&[], None, Some(Tearing::Somewhere(Torn::Page))),
        @"no undecided request is longer than 4096 bytes, so none can be torn there"
    );
}
