//! A device, a driver with two queues, and what the disk should be.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::time::Instant;

use vhost_blk_api::control::{Client, Command, Reply, RuleStatus, Stats};
use vhost_blk_api::op::Op;
use vhost_blk_api::trace::{self, Record, RequestLine};

use crate::common::{DeviceProcess, Driver, SOON, Used};

/// Bytes of a page, the length of most requests here.
pub const PAGE: u32 = 4096;
/// Sectors of a page.
pub const PAGE_SECTORS: u64 = 8;
/// What lies on the disk that the trials look at.
pub const DISK: usize = 16 * PAGE as usize;
/// The page that is written and not flushed when a trial begins.
pub const VOLATILE: u64 = 12;
/// What a read's buffer holds before.
pub const BEFORE_READ: u8 = 0x55;
const QUEUES: usize = 2;
/// What the image holds.
pub const GOLDEN: u8 = 0x07;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub op: Op,
    pub sector: u64,
    /// Length in bytes.
    pub len: u32,
    pub queue: usize,
    /// What is written.
    pub data: Vec<u8>,
}

impl Ask {
    /// Of one page.
    pub fn page(op: Op, page: u64) -> Ask {
        Ask::at(op, page * PAGE_SECTORS, PAGE)
    }

    pub fn at(op: Op, sector: u64, len: u32) -> Ask {
        let place = !matches!(op, Op::Flush | Op::GetId);
        let len = match op {
            Op::Flush => 0,
            Op::GetId => 20,
            _ => len,
        };
        Ask {
            op,
            sector: if place { sector } else { 0 },
            len,
            queue: 0,
            data: vec![0x22; if op == Op::Write { len as usize } else { 0 }],
        }
    }

    /// What of the disk it touches, in bytes.
    pub fn range(&self) -> std::ops::Range<usize> {
        let start = self.sector as usize * 512;
        start..start + self.len as usize
    }
}

/// The disk as it should be.
#[derive(Debug, Clone)]
pub struct Model {
    pub now: Vec<u8>,
    /// What would be there after a power cut.
    pub durable: Vec<u8>,
    /// What the flushes that are out make durable: what was completed when they were sent.
    flushing: VecDeque<Vec<u8>>,
}

impl Model {
    /// A request that is done as it says.
    pub fn apply(&mut self, ask: &Ask) {
        match ask.op {
            Op::Write => self.now[ask.range()].copy_from_slice(&ask.data),
            Op::Discard | Op::WriteZeroes => self.now[ask.range()].fill(0),
            Op::Flush => self.durable = self.flushing.pop_front().expect("it was sent"),
            Op::Read | Op::GetId => {}
        }
    }
}

pub struct Rig {
    pub device: DeviceProcess,
    pub control: Client,
    driver: Option<Driver>,
    pub model: Model,
    /// Requests that the device has, by queue and slot.
    pending: BTreeMap<(usize, u16), Ask>,
    asked: u64,
    /// Bytes of the trace before the trial.
    trace_at: u64,
}

impl Rig {
    pub fn start() -> Rig {
        // The rule means no request here: with it the device knows from the beginning what is durable.
        let args = ["--num-queues", "2", "--rule", "cut write-zeroes sectors=16000..16001"];
        let device = DeviceProcess::with_image(&[GOLDEN; DISK], &args);
        let driver = Driver::with_queues(&device, QUEUES);
        Rig {
            control: device.control(),
            device,
            driver: Some(driver),
            model: Model {
                now: vec![GOLDEN; DISK],
                durable: vec![GOLDEN; DISK],
                flushing: VecDeque::new(),
            },
            pending: BTreeMap::new(),
            asked: 0,
            trace_at: 0,
        }
    }

    pub fn driver(&mut self) -> &mut Driver {
        self.driver.as_mut().expect("a driver is connected")
    }

    /// A new front end in place of the one there was.
    pub fn reconnect(&mut self) {
        self.driver = None;
        self.driver = Some(Driver::with_queues(&self.device, QUEUES));
        self.pending.clear();
    }

    /// Sends a command that the device must obey.
    pub fn tell(&mut self, command: &Command) -> Reply {
        self.control.call(command).expect("the device obeys")
    }

    pub fn stats(&mut self) -> Stats {
        match self.tell(&Command::Stats) {
            Reply::Stats(stats) => stats,
            other => panic!("{other:?}"),
        }
    }

    /// The first rule of the plan, the one that a trial is about.
    pub fn rule(&mut self) -> RuleStatus {
        match self.tell(&Command::List) {
            Reply::Rules { mut rules } => rules.remove(0),
            other => panic!("{other:?}"),
        }
    }

    /// The disk as every trial finds it: each page has its own content, all durable but one.
    pub fn begin(&mut self, seed: u64, rules: Vec<String>) {
        self.tell(&Command::Clear);
        self.tell(&Command::Rollback { to: None });
        self.trace_at += self.trace_from(self.trace_at).len() as u64;
        self.model.now.fill(GOLDEN);
        self.model.durable.fill(GOLDEN);
        let mut all = Ask::at(Op::Write, 0, DISK as u32);
        for (page, data) in all.data.chunks_mut(PAGE as usize).enumerate() {
            data.fill(0x80 + page as u8);
        }
        self.usual(&all);
        self.usual(&Ask::page(Op::Flush, 0));
        self.dirty();
        self.tell(&Command::Plan { seed, rules });
    }

    /// A write that no flush has made durable yet, with another content each time.
    pub fn dirty(&mut self) {
        let mut write = Ask::page(Op::Write, VOLATILE);
        let other = self.model.now[write.range().start].wrapping_add(0x31);
        write.data.fill(other);
        self.usual(&write);
    }

    /// Sends a request; its slot.
    pub fn send(&mut self, ask: &Ask) -> u16 {
        self.asked += 1;
        if ask.op == Op::Flush {
            if self.pending.values().all(|pending| pending.op != Op::Flush) {
                // Of those that a rule kept from doing anything.
                self.model.flushing.clear();
            }
            self.model.flushing.push_back(self.model.now.clone());
        }
        let queue = &mut self.driver().queues[ask.queue];
        let slot = match ask.op {
            Op::Read => queue.read(ask.sector, ask.len),
            Op::Write => queue.write(ask.sector, &ask.data),
            Op::Flush => queue.ask(4, 0, 0, false),
            Op::GetId => queue.ask(8, 0, ask.len, true),
            Op::Discard => queue.range(11, ask.sector, ask.len / 512),
            Op::WriteZeroes => queue.range(13, ask.sector, ask.len / 512),
        };
        assert_eq!(self.pending.insert((ask.queue, slot), ask.clone()), None);
        slot
    }

    /// Waits until the device has taken all that was sent.
    pub fn arrived(&mut self) {
        let asked = self.asked;
        self.until(|stats| stats.submitted >= asked);
    }

    /// Waits until the counters say so.
    pub fn until(&mut self, so: impl Fn(&Stats) -> bool) {
        let deadline = Instant::now() + SOON;
        loop {
            let stats = self.stats();
            if so(&stats) {
                return;
            }
            assert!(Instant::now() < deadline, "it never came to that: {stats:?}");
            std::thread::yield_now();
        }
    }

    /// The next completion of a queue, of a request that was sent and is not completed yet.
    pub fn take(&mut self, queue: usize) -> (Ask, Used) {
        let Some(used) = self.driver().queues[queue].next_used(SOON) else {
            let unseen = self.driver().queues[queue].unseen();
            let stats = self.stats();
            panic!(
                "no completion, {unseen} of which nobody was told: {stats:?}, {:?}",
                self.pending
            );
        };
        let ask = self.pending.remove(&(queue, used.slot));
        (ask.expect("a request that is out: none completes twice"), used)
    }

    /// Whether a completion waits to be looked at.
    pub fn has_news(&mut self) -> bool {
        self.driver().queues.iter().any(|queue| queue.unseen() > 0)
    }

    /// What is in the buffer of a read.
    pub fn buffer(&mut self, ask: &Ask, slot: u16) -> Vec<u8> {
        self.driver().queues[ask.queue].bytes(slot, ask.len as usize)
    }

    /// A request as it is done where no rule has a say.
    pub fn usual(&mut self, ask: &Ask) {
        self.send(ask);
        self.ends_as_usual(ask);
    }

    /// The next completion is this request's, and as the disk says.
    pub fn ends_as_usual(&mut self, ask: &Ask) {
        let (found, used) = self.take(ask.queue);
        assert_eq!((&found, used.status), (ask, 0));
        self.model.apply(ask);
        let read = matches!(ask.op, Op::Read | Op::GetId);
        assert_eq!(used.len, if read { ask.len + 1 } else { 1 }, "{ask:?}");
        if ask.op == Op::Read {
            assert!(self.buffer(ask, used.slot) == self.model.now[ask.range()], "{ask:?}");
        }
    }

    /// The trace's lines of the last request that a rule was applied to.
    pub fn last_line(&mut self, rule: &str) -> RequestLine {
        let records = self.records();
        let mut lines = trace::requests(&records).into_iter();
        let of_rule = |line: &RequestLine| line.submit.rules.iter().any(|name| name == rule);
        lines.rfind(of_rule).expect("the rule is in the trace")
    }

    /// The trace since the trial began.
    pub fn records(&mut self) -> Vec<Record> {
        let lines = self.trace_from(self.trace_at);
        let records = lines.lines().map(serde_json::from_str);
        records.collect::<Result<_, _>>().expect("lines of a trace")
    }

    fn trace_from(&mut self, start: u64) -> String {
        self.tell(&Command::FlushTrace);
        let mut file = File::open(self.device.path("trace")).expect("the trace");
        file.seek(SeekFrom::Start(start)).expect("its length");
        let mut lines = String::new();
        file.read_to_string(&mut lines).expect("text");
        lines
    }

    /// The disk as it is, without a request.
    pub fn look(&mut self) -> Vec<u8> {
        let path = self.device.path("export");
        self.tell(&Command::export(path.clone()));
        let mut bytes = std::fs::read(path).expect("the export");
        bytes.truncate(DISK);
        bytes
    }

    /// Gives power again and comes again, as a driver must after a cut.
    pub fn power(&mut self) {
        self.tell(&Command::Power);
        self.reconnect();
    }

    /// All is let go, everything that was sent is completed, and the disk is what it should be; with `cut` also what is
    /// durable of it.
    pub fn end(&mut self, cut: bool) {
        self.tell(&Command::Clear);
        for queue in 0..QUEUES {
            while self.pending.keys().any(|(of, _)| *of == queue) {
                let (ask, used) = self.take(queue);
                assert_eq!(used.status, 0, "{ask:?}");
                self.model.apply(&ask);
            }
        }
        assert!(!self.has_news(), "a completion of nothing");
        let stats = self.stats();
        assert_eq!((stats.outstanding, stats.held), (0, 0));
        if cut {
            self.tell(&Command::Cut {
                lose: None,
                torn: None,
                seed: 0,
            });
            self.power();
            self.model.now.clone_from(&self.model.durable);
        }
        // It is compared with what should be there.
        self.usual(&Ask::at(Op::Read, 0, DISK as u32));
    }
}
