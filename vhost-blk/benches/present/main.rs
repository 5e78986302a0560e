//! What it costs to present a state of a mark, by the length of the history and by how much differs.
//!
//! Each device has written a history of some length before the mark, then requests that stay undecided, and then as
//! much again. All states of one device differ from the next in the same number of bytes. What counts: how many bytes
//! are put on the disk for one that differs, and the time beside that of the device with the shortest history, which
//! takes turns with the others.
//!
//! ```text
//! cargo bench -p vhost-blk --bench present -- [--rounds N]
//! ```
#![allow(clippy::expect_used, reason = "a bench that cannot go on ends")]

#[path = "../../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use clap::Parser;
use common::{DeviceProcess, Driver};
use vhost_blk_api::control::{Client, Command, Reply};

const PAGE: usize = 4096;
/// Pages of the disk.
const PAGES: u64 = 16 << 10;
/// Requests before the mark.
const LENGTHS: [u64; 3] = [1_000, 10_000, 100_000];
/// Undecided requests, a page each: every state differs from the one before in all of them.
const UNDECIDED: [u64; 3] = [1, 64, 1024];
/// Most bytes that may be put on the disk for one that differs.
const MOST: f64 = 10.0;

#[derive(Parser)]
struct Options {
    /// How often each device presents two states.
    #[arg(long, default_value_t = 50)]
    rounds: u32,
    /// Cargo says it to a bench.
    #[arg(long, hide = true)]
    bench: bool,
}

struct Contender {
    length: u64,
    undecided: u64,
    _device: DeviceProcess,
    driver: Driver,
    control: Client,
    moved: u64,
    times: Vec<Duration>,
}

impl Contender {
    fn new(length: u64, undecided: u64) -> Contender {
        let device = DeviceProcess::with_disk(&[], PAGES * PAGE as u64, &["--history", "4G"]);
        let mut driver = Driver::connect(&device);
        let control = device.control();
        let write = |driver: &mut Driver, page: u64, fill: u8| {
            driver.write(page % PAGES * 8, &[fill; PAGE]);
            assert_eq!(driver.done().status, 0);
        };
        for number in 0..length {
            write(&mut driver, number.wrapping_mul(0x9e37_79b9), number as u8);
        }
        driver.queue(4, 0, 0, false);
        driver.kick();
        assert_eq!(driver.done().status, 0);
        (0..undecided).for_each(|page| write(&mut driver, page * 3, 1));
        let mut contender = Contender {
            length,
            undecided,
            driver,
            _device: device,
            control,
            moved: 0,
            times: Vec::new(),
        };
        contender.tell(&Command::Mark { name: "m".to_owned() });
        for number in 0..length {
            write(&mut contender.driver, number.wrapping_mul(0x9e37_79b1), number as u8);
        }
        contender.present("none");
        contender.moved = 0;
        contender.times.clear();
        contender
    }

    fn tell(&mut self, command: &Command) -> Reply {
        self.control.call(command).expect("the device obeys")
    }

    fn present(&mut self, lose: &str) {
        let command = Command::Present {
            at: "m".to_owned(),
            lose: Some(lose.to_owned()),
            order: None,
            torn: None,
            seed: 0,
        };
        let began = Instant::now();
        let Reply::Presented { moved_bytes, .. } = self.tell(&command) else {
            panic!("another answer");
        };
        self.times.push(began.elapsed());
        self.moved += moved_bytes;
    }

    /// Bytes that were put on the disk for one that differs.
    fn moved_for_one(&self) -> f64 {
        self.moved as f64 / (self.undecided * PAGE as u64 * self.times.len() as u64) as f64
    }

    fn median(&self) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }
}

fn main() {
    let Options { rounds, .. } = Options::parse();
    println!(
        "{:>9} {:>9} {:>12} {:>12} {:>9}",
        "requests", "undecided", "moved/differ", "time", "ratio"
    );
    let mut is_dear = false;
    for undecided in UNDECIDED {
        let mut contenders = LENGTHS.map(|length| Contender::new(length, undecided));
        for _ in 0..rounds {
            for lose in ["all", "none"] {
                contenders.iter_mut().for_each(|contender| contender.present(lose));
            }
        }
        let [first, ..] = &contenders;
        let shortest = first.median();
        for contender in &contenders {
            let (moved, time) = (contender.moved_for_one(), contender.median());
            is_dear |= moved > MOST;
            println!(
                "{:>9} {:>9} {:>12.2} {:>9} us {:>9.2}",
                contender.length,
                contender.undecided,
                moved,
                time.as_micros(),
                time.as_secs_f64() / shortest.as_secs_f64()
            );
        }
    }
    assert!(
        !is_dear,
        "more than {MOST} bytes were put on the disk for one that differs"
    );
}
