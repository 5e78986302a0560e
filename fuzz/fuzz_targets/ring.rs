//! A whole session of a device with a front end, over real rings in guest memory: mostly good chains, rules that hold
//! and spoil them, rings that stop and start, front ends that leave and come again, power that goes, disks that grow
//! and shrink, and now and then a driver that lies. Every head comes back at most once, nothing comes after a stop or
//! an end, and in the end nothing is outstanding.

#![no_main]

mod ring_driver;

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use ring_driver::{Memory, QUEUES, Ring, SIZE};
use vhost_blk::backend::in_process::InProcess;
use vhost_blk::config::Config;
use vhost_blk::device::Device;
use vhost_blk::disk::Disk;
use vhost_blk::trace::Writer;
use vhost_blk_api::plan::{Lose, Plan, Torn, Var};

/// Rules that an input can have, by number.
const RULES: [&str; 32] = [
    "hold write until=release max=60s",
    "hold any until=next(write) max=60s",
    "hold read until=done(flush) max=60s",
    "hold any until=mark(go) max=60s limit=3",
    "hang read every=2",
    "hang any queue=1 nth=2",
    "delay write for=1s",
    "slow any for=1s..2s over=3 p=0.3",
    "reorder any window=3 order=reverse max=60s",
    "reorder write window=epoch order=shuffle max=60s",
    "reorder read window=2 order=rotate max=60s",
    "fail write payload=tag:7",
    "fail any every=3",
    "fail flush status=unsupp",
    "short write bytes=512 then=ok",
    "short read bytes=700 then=ioerr",
    "corrupt read flip=3bit",
    "corrupt write misdirect=8",
    "corrupt any stale=all",
    "corrupt write zero=1",
    "corrupt read misdirect=-8",
    "drop write after=mark(go)",
    "drop flush",
    "early flush for=1s",
    "cut flush nth=2",
    "cut write nth=3 lose=some torn=512",
    "disconnect write nth=4",
    "disconnect flush limit=1",
    "fail any when=phase:1 set=phase:2",
    "fail write covers=16..24",
    "hold any first-after=flush until=release max=60s",
    "drop discard sectors=0..64",
];
const SECTORS: u64 = 128;

/// The image, made once; nobody writes it.
fn image() -> PathBuf {
    static IMAGE: OnceLock<File> = OnceLock::new();
    let image = IMAGE.get_or_init(|| {
        let mut image = ring_driver::anonymous_file();
        image.write_all(&[7; SECTORS as usize * 512]).expect("an image");
        image
    });
    PathBuf::from(format!("/proc/self/fd/{}", image.as_raw_fd()))
}

/// What is left of the input.
pub struct Input<'a>(&'a [u8]);

impl Input<'_> {
    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub fn short(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes([self.byte()?, self.byte()?]))
    }

    fn rules(&mut self) -> Option<Vec<String>> {
        let count = self.byte()? % 4;
        let rule = |_| Some(RULES[usize::from(self.byte()?) % RULES.len()].to_owned());
        (0..count).map(rule).collect()
    }
}

struct Session {
    device: Arc<Device>,
    memory: &'static Memory,
    front: Option<InProcess>,
    /// Whether the device hung up on it.
    hung_up: Arc<AtomicBool>,
    rings: [Ring; QUEUES],
    /// Whether the device has a part of the memory only.
    is_shrunk: bool,
    /// The front end's record of requests in flight, and its size in bytes.
    record: Option<(File, u64)>,
}

impl Session {
    fn start(input: &mut Input<'_>) -> Option<Session> {
        let plan = Plan {
            seed: u64::from(input.byte()?),
            rules: input
                .rules()?
                .iter()
                .map(|rule| rule.parse().expect("a rule"))
                .collect(),
        };
        let started = Instant::now();
        let disk = Disk::open(&image(), 512).expect("a disk");
        let config = Config {
            num_queues: QUEUES as u16,
            queue_size: SIZE,
            ..Config::default()
        };
        let trace = Writer::create(None, started).expect("no trace");
        let mut session = Session {
            device: Arc::new(Device::new(config, disk, trace, started, &plan)),
            memory: Memory::get(),
            front: None,
            hung_up: Arc::default(),
            rings: std::array::from_fn(Ring::new),
            is_shrunk: false,
            record: None,
        };
        session.connect(false);
        Some(session)
    }

    /// A front end comes, with its record and its rings as they were, or with fresh ones.
    fn connect(&mut self, again: bool) {
        let front = InProcess::connect(&self.device, self.memory.all()).expect("a connection");
        self.hung_up.store(false, Ordering::Relaxed);
        self.is_shrunk = false;
        let (hang_up, hung_up) = (front.hang_up(), Arc::clone(&self.hung_up));
        self.device.front_end().set_hang_up(Some(Box::new(move || {
            hang_up();
            hung_up.store(true, Ordering::Relaxed);
        })));
        let again = again && self.record.is_some() && self.rings.iter().all(|ring| ring.is_running);
        if !again {
            self.record = None;
        }
        if let Some((file, bytes)) = &self.record {
            let file = file.try_clone().expect("a descriptor");
            front
                .keep_record(file, *bytes, QUEUES as u16, SIZE)
                .expect("it is large enough");
        }
        self.front = Some(front);
        for queue in 0..QUEUES {
            if again {
                // What the power took along is handed in again.
                self.rings[queue].none_is_lost();
                let base = self.rings[queue].used(self.memory);
                self.run(queue, base);
                self.kick(queue);
            } else {
                self.start_ring(queue);
            }
        }
    }

    /// Power cuts that are over.
    fn cuts(&self) -> u64 {
        let stats = self.device.stats();
        stats.cuts - u64::from(stats.dark)
    }

    fn start_ring(&mut self, queue: usize) {
        let cuts = self.cuts();
        self.rings[queue].empty(self.memory, cuts);
        self.run(queue, 0);
    }

    fn run(&mut self, queue: usize, base: u16) {
        if let Some(front) = &self.front {
            let started = front.start(queue, SIZE, Ring::addrs(queue), base);
            // With memory that has shrunk it may have no place.
            assert!(started.is_ok() || self.is_shrunk, "{started:?}");
            self.rings[queue].is_wild |= self.is_shrunk;
            self.rings[queue].is_running = started.is_ok();
            self.rings[queue].frozen = None;
        }
    }

    fn kick(&mut self, queue: usize) {
        if let Some(front) = &self.front {
            front.kick(queue);
        }
    }

    fn stop(&mut self, queue: usize) -> u16 {
        let Some(front) = &self.front else { return 0 };
        let base = front.stop(queue);
        let stats = self.device.stats();
        let cut = stats.cuts > self.rings[queue].cuts || self.hung_up.load(Ordering::Relaxed);
        let ring = &mut self.rings[queue];
        ring.look(self.memory);
        ring.stopped(base, cut);
        base
    }

    /// The front end is gone; nothing comes after it.
    fn leave(&mut self) {
        if let Some(front) = self.front.take() {
            front.end();
            self.device.front_end().set_hang_up(None);
            for ring in &mut self.rings {
                ring.look(self.memory);
                ring.frozen = Some(ring.used(self.memory));
            }
            let stats = self.device.stats();
            assert_eq!((stats.outstanding, stats.held), (0, 0), "{stats:?}");
        }
    }

    /// The driver does what it wants: nothing that it sees from here on is held against the device.
    fn all_wild(&mut self) {
        self.rings.iter_mut().for_each(|ring| ring.is_wild = true);
    }

    /// One step of the session. The seeds depend on the numbers: `what` is a queue (its highest bit), whether the step
    /// goes further (the next one), and a kind of step.
    fn step(&mut self, what: u8, input: &mut Input<'_>) -> Option<()> {
        let (queue, kind) = (usize::from(what >> 7), what & 0x3F);
        let goes_further = what & 0x40 != 0;
        match kind {
            0..24 => {
                self.rings[queue].send(self.memory, input)?;
                if goes_further {
                    self.kick(queue);
                }
            }
            24..32 => self.kick(queue),
            32..35 => {
                if self.rings[queue].send_raw(self.memory, input)? {
                    self.all_wild();
                }
                self.kick(queue);
            }
            35..43 => self.change_rules(kind, input)?,
            43..48 => self.stop_or_reset(queue, kind, goes_further),
            48..51 => {
                self.leave();
                self.connect(goes_further);
            }
            51 => {
                self.device.front_end().hang_up();
            }
            52..56 => self.change_power(kind, input)?,
            56 | 57 if self.record.is_none() => self.begin_record(),
            58..63 => self.lie(queue, kind, input)?,
            _ => self.change_disk(input)?,
        }
        Some(())
    }

    /// Rules, marks and variables change, or held requests are released.
    fn change_rules(&mut self, kind: u8, input: &mut Input<'_>) -> Option<()> {
        match kind {
            38 => drop(self.device.release(Some("r1"))),
            39 => drop(self.device.clear_rules()),
            40 => {
                let (seed, rules) = (u64::from(input.byte()?), input.rules()?);
                self.device.set_plan(seed, &rules).expect("they are rules");
            }
            41 => drop(self.device.mark("go")),
            42 => self.device.set_var(&Var {
                name: "phase".to_owned(),
                value: u64::from(input.byte()? % 3),
            }),
            _ => drop(self.device.release(None)),
        }
        Some(())
    }

    /// A ring stops, and may start again where it was, or the driver resets it.
    fn stop_or_reset(&mut self, queue: usize, kind: u8, stays_stopped: bool) {
        if kind < 46 && self.rings[queue].is_running {
            let base = self.stop(queue);
            if !stays_stopped {
                self.run(queue, base);
                self.kick(queue);
            }
        } else if self.hung_up.load(Ordering::Relaxed) {
            // A driver resets its device while nobody is there to be told: its front end lets go of the record, as
            // QEMU does.
            self.leave();
            self.connect(false);
        } else if self.front.is_some() {
            self.stop(queue);
            self.start_ring(queue);
        }
    }

    /// The power is cut or comes back, or the disk is the image again.
    fn change_power(&mut self, kind: u8, input: &mut Input<'_>) -> Option<()> {
        match kind {
            52 => {
                let lose = [Lose::All, Lose::Some, Lose::None][usize::from(input.byte()?) % 3];
                let _ = self.device.cut(lose, Some(Torn::Sector), 1);
            }
            55 => {
                if self.device.stats().outstanding == 0 {
                    self.device.rollback(None).expect("nothing is out");
                }
            }
            _ => drop(self.device.power_on()),
        }
        Some(())
    }

    /// The front end has a record of requests in flight from its next connection on.
    fn begin_record(&mut self) {
        self.leave();
        self.record = Some(InProcess::record(QUEUES as u16, SIZE).expect("a file"));
        let cuts = self.cuts();
        self.rings.iter_mut().for_each(|ring| {
            ring.empty(self.memory, cuts);
            ring.is_running = true;
        });
        self.connect(true);
    }

    /// The driver or its front end lies: about a ring, the memory (61 gives it back) or the record.
    fn lie(&mut self, queue: usize, kind: u8, input: &mut Input<'_>) -> Option<()> {
        let ring = &mut self.rings[queue];
        match kind {
            58 => {
                ring.is_wild = true;
                ring.lie_about_index(self.memory, input.short()?);
                self.kick(queue);
            }
            59 => {
                ring.is_wild = true;
                ring.lie_about_head(self.memory, input.short()?);
                self.kick(queue);
            }
            60 => {
                self.all_wild();
                let bytes = u64::from(input.byte()?) << 10;
                if let Some(front) = &self.front {
                    front.set_memory(self.memory.first(bytes.max(4096)));
                    self.is_shrunk = true;
                }
            }
            61 => {
                if let Some(front) = &self.front {
                    front.set_memory(self.memory.all());
                    self.is_shrunk = false;
                }
            }
            _ => {
                let (at, value) = (input.short()?, input.byte()?);
                if let Some((file, bytes)) = &self.record {
                    let at = u64::from(at) % bytes;
                    std::os::unix::fs::FileExt::write_at(file, &[value], at).expect("it is in the file");
                    self.all_wild();
                }
            }
        }
        Some(())
    }

    /// The driver switches the write cache, or the disk changes its size.
    fn change_disk(&mut self, input: &mut Input<'_>) -> Option<()> {
        let how = input.byte()?;
        if how & 0x80 == 0 {
            self.device.front_end().set_writeback(how & 1 == 1);
        } else {
            // Up to twice its size, and seldom where a block ends.
            let bytes = (1 + u64::from(how & 0x7F) * 2) * 512;
            self.device.resize(bytes).expect("a size for a disk");
        }
        Some(())
    }

    fn look(&mut self) {
        let mut seen = 0;
        for ring in &mut self.rings {
            ring.look(self.memory);
            seen += ring.back;
        }
        let stats = self.device.stats();
        assert!(
            stats.submitted >= stats.completed && stats.outstanding >= stats.held,
            "{stats:?}"
        );
        assert!(seen <= stats.completed + stats.malformed, "{seen} came back: {stats:?}");
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let Some(mut session) = Session::start(&mut input) else {
        return;
    };
    while let Some(what) = input.byte() {
        let went_on = session.step(what, &mut input).is_some();
        session.look();
        if session.hung_up.load(Ordering::Relaxed) {
            session.leave();
            session.connect(what & 0x40 != 0);
        }
        if !went_on {
            break;
        }
    }
    session.leave();
    let stats = session.device.stats();
    assert_eq!(
        (stats.submitted, stats.outstanding, stats.held),
        (stats.completed, 0, 0),
        "{stats:?}"
    );
    session.device.power_on();
    session.device.clear_rules();
    session.look();
});
