//! A driver that keeps book of what it sent and what came back, of a device that it looks after.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use vhost::VhostBackend;
use vhost_blk_api::control::{Client, Command, Reply, Stats};
use vhost_blk_api::op::Op;

use crate::common::queue::SLOTS;
use crate::common::{DeviceProcess, Driver, Queue, SOON};
use crate::story::{QUEUES, STEPS_MAX, Step, Story};

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The device has it, or will have.
    Out,
    /// It came back with this status.
    Done(u8),
    /// The device took it, or may have, and nobody will ever hear of it: the connection went.
    Lost,
    /// The power took it along.
    Unpowered,
    /// Its ring was reset before the device took it.
    Untaken,
}

#[derive(Debug)]
pub struct Sent {
    pub queue: usize,
    slot: u16,
    pub op: Op,
    /// No two requests begin at the same.
    pub sector: u64,
    pub fate: Fate,
}

/// A device with its driver.
pub struct Session {
    pub device: DeviceProcess,
    control: Client,
    driver: Driver,
    story: Story,
    pub sent: Vec<Sent>,
    /// Of each ring since it was started: what was put into it.
    rings: [Vec<usize>; QUEUES],
    /// Requests that the device has counted once it has taken all.
    expected: u64,
    /// Queues of front ends that are gone, with their used index as they went.
    gone: Vec<(Queue, u16)>,
}

/// Sectors of every request but a flush.
const SECTORS: u64 = 2;

impl Session {
    pub fn start(story: &Story, storage: &str) -> Session {
        let device = DeviceProcess::start(&["--storage", storage]);
        let mut session = Session {
            control: device.control(),
            driver: Driver::with_queues(&device, QUEUES),
            device,
            story: story.clone(),
            sent: Vec::new(),
            rings: Default::default(),
            expected: 0,
            gone: Vec::new(),
        };
        session.plan(story.rules.clone());
        session
    }

    fn plan(&mut self, rules: Vec<String>) {
        let seed = self.story.seed;
        assert_eq!(self.tell(&Command::Plan { seed, rules }), Reply::Done);
    }

    fn tell(&mut self, command: &Command) -> Reply {
        self.control.call(command).expect("the device obeys")
    }

    pub fn stats(&mut self) -> Stats {
        match self.tell(&Command::Stats) {
            Reply::Stats(stats) => stats,
            other => panic!("{other:?}"),
        }
    }

    pub fn step(&mut self, step: &Step) {
        match *step {
            Step::Send { queue, op, kick } => self.send(queue, op, kick),
            Step::Look => self.look(),
            Step::Settle => self.settle(),
            Step::Mark => {
                self.tell(&Command::Mark { name: "go".to_owned() });
            }
            Step::Set(value) => {
                let var = format!("phase:{value}");
                self.tell(&Command::Set { var });
            }
            Step::Release => {
                self.tell(&Command::Release { rule: None });
            }
            Step::ReleaseRule(number) => {
                let rule = Some(format!("r{number}"));
                // There may be none of this name.
                let _ = self.control.call(&Command::Release { rule });
            }
            Step::Clear => {
                self.tell(&Command::Clear);
            }
            Step::Plan => self.plan(self.story.more_rules.clone()),
            Step::Pause { queue } => self.stop(queue, false, false),
            Step::Reset { queue } => self.stop(queue, true, false),
            Step::Leave => {
                // So that the device is not asked again after it has been left.
                self.look();
                self.leave();
            }
            Step::HangUp => {
                // Refused if a rule was first.
                let _ = self.control.call(&Command::Disconnect);
                self.leave();
            }
            Step::Cut => {
                // What it loses is another test's; without a history nobody knows what that would be.
                self.tell(&Command::Cut {
                    lose: Some("none".to_owned()),
                    torn: None,
                    seed: 1,
                });
            }
            Step::Power => self.power(),
            Step::Resize(more) => {
                let bytes = (SECTORS * STEPS_MAX + more) * 512;
                let resized = self.tell(&Command::Resize { bytes });
                assert!(matches!(resized, Reply::Resized { .. }), "{resized:?}");
            }
        }
    }

    fn send(&mut self, queue: usize, op: Op, kick: bool) {
        let ring = &mut self.driver.queues[queue];
        if ring.out().len() == usize::from(SLOTS) {
            return;
        }
        let slot = ring.free_slot();
        let sector = self.sent.len() as u64 * SECTORS;
        let bytes = SECTORS as u32 * 512;
        let put = match op {
            Op::Read => ring.queue(0, sector, bytes, true),
            Op::Write => ring.queue(1, sector, bytes, false),
            Op::Discard | Op::WriteZeroes => {
                ring.put_range(slot, sector, SECTORS as u32, 0);
                ring.queue(if op == Op::Discard { 11 } else { 13 }, 0, 16, false)
            }
            _ => ring.queue(4, 0, 0, false),
        };
        assert_eq!(put, slot);
        if kick {
            ring.kick();
        }
        self.rings[queue].push(self.sent.len());
        self.expected += 1;
        self.sent.push(Sent {
            queue,
            slot,
            op,
            sector,
            fate: Fate::Out,
        });
    }

    /// Takes what came back.
    fn look(&mut self) {
        for queue in 0..QUEUES {
            let ring = &mut self.driver.queues[queue];
            while ring.unseen() > 0 {
                let used = ring.next_used(Duration::ZERO).expect("it is there");
                let mut of_slot = self.sent.iter_mut().rev();
                let sent = of_slot
                    .find(|sent| sent.queue == queue && sent.slot == used.slot)
                    .expect("it was sent");
                assert_eq!(sent.fate, Fate::Out, "{sent:?} came back, and had before or could not");
                sent.fate = Fate::Done(used.status);
            }
        }
    }

    fn out(&self) -> u64 {
        self.sent.iter().filter(|sent| sent.fate == Fate::Out).count() as u64
    }

    /// What is out will never come back.
    fn lose(&mut self, fate: Fate) {
        for sent in self.sent.iter_mut().filter(|sent| sent.fate == Fate::Out) {
            sent.fate = fate;
        }
    }

    /// Waits until all was taken and what did not come back waits for something that only we can do: rules keep it, or
    /// the power is off.
    pub fn settle(&mut self) {
        let deadline = Instant::now() + SOON;
        loop {
            for ring in &self.driver.queues {
                ring.kick();
            }
            self.look();
            let stats = self.stats();
            if !stats.connected {
                return self.leave();
            }
            self.look();
            let kept = stats.dark || stats.outstanding == stats.held;
            if stats.submitted == self.expected && stats.outstanding == self.out() && kept {
                return self.explained(&stats);
            }
            assert!(
                Instant::now() < deadline,
                "{stats:?}, but {} were sent and {} are out: {:?}",
                self.expected,
                self.out(),
                self.sent
            );
            std::thread::yield_now();
        }
    }

    /// Each request that waits is kept by a rule that can.
    fn explained(&mut self, stats: &Stats) {
        let Reply::Rules { rules } = self.tell(&Command::List) else {
            panic!("no rules");
        };
        // One may have ended since.
        let holding: usize = rules.iter().map(|rule| rule.holding).sum();
        assert!(holding as u64 <= stats.held, "{rules:?} {stats:?}");
        for rule in rules.iter().filter(|rule| rule.holding > 0) {
            let word = rule.text.split(' ').next().unwrap_or_default();
            let waiting = ["delay", "slow", "hold", "hang", "reorder"];
            assert!(waiting.contains(&word) && rule.hits > 0, "{rule:?}");
        }
    }

    /// A ring is stopped: what came out of it has come back by then, but for what the power took along that is off, or
    /// just was (`was_dark`).
    fn stop(&mut self, queue: usize, reset: bool, was_dark: bool) {
        let mut rules = self.story.rules.iter().chain(&self.story.more_rules);
        if !was_dark && rules.any(|rule| rule.starts_with("disconnect")) {
            // A rule must not hang up while the ring is set up.
            self.settle();
        }
        let base = self.driver.frontend.get_vring_base(queue).expect("it stops");
        self.look();
        let (taken, untaken) = self.rings[queue].split_at(base as usize);
        let dark = match self.control.call(&Command::Stats).expect("stats") {
            Reply::Stats(stats) => stats.dark || was_dark,
            other => panic!("{other:?}"),
        };
        for index in taken {
            let sent = &mut self.sent[*index];
            if sent.fate == Fate::Out {
                assert!(
                    dark,
                    "{sent:?} was taken, the ring is stopped, and it did not come back"
                );
                sent.fate = Fate::Unpowered;
            }
        }
        if reset {
            for index in untaken {
                self.sent[*index].fate = Fate::Untaken;
                self.expected -= 1;
            }
            self.driver.start_queue(queue);
            self.rings[queue].clear();
        } else {
            self.driver.resume_queue(queue, base);
        }
    }

    /// The connection ends, if it has not; when the device has noticed, another one begins.
    fn leave(&mut self) {
        let deadline = Instant::now() + SOON;
        // SAFETY: the front end outlives this call, which does not close it.
        let front = unsafe { BorrowedFd::borrow_raw(self.driver.frontend.as_raw_fd()) };
        // It may be at its end already.
        let _ = rustix::net::shutdown(front, rustix::net::Shutdown::Both);
        let stats = loop {
            let stats = self.stats();
            if !stats.connected && stats.outstanding == 0 {
                break stats;
            }
            assert!(Instant::now() < deadline, "it keeps what is of no use: {stats:?}");
            std::thread::yield_now();
        };
        self.look();
        self.lose(Fate::Lost);
        assert!(
            stats.submitted <= self.expected,
            "{stats:?}, but {} were sent",
            self.expected
        );
        self.expected = stats.submitted;
        let mut driver = Driver::with_queues(&self.device, QUEUES);
        std::mem::swap(&mut driver, &mut self.driver);
        self.gone.extend(driver.queues.into_iter().map(|queue| {
            let used = queue.used_index();
            (queue, used)
        }));
        self.rings.iter_mut().for_each(Vec::clear);
    }

    /// The power comes back. A driver whose requests it took along resets its rings.
    fn power(&mut self) {
        self.settle();
        let lost = self.out();
        let dark = self.stats().dark;
        let released = self.tell(&Command::Power);
        if !dark {
            return assert_eq!(released, Reply::Released { requests: 0 });
        }
        let Reply::Released { requests } = released else {
            panic!("{released:?}");
        };
        // One that was let go just as the power went may be in a thread's hands still, and was done before it went, or
        // never will be.
        assert!(requests as u64 <= lost, "{requests} are lost, but {lost} are out");
        for queue in 0..QUEUES {
            self.stop(queue, true, true);
        }
    }

    /// Without power cuts and rules everything that is out comes back.
    pub fn end(&mut self) {
        self.power();
        self.tell(&Command::Clear);
        self.settle();
        assert_eq!(self.out(), 0, "without rules nothing waits: {:?}", self.sent);
        let stats = self.stats();
        assert_eq!((stats.outstanding, stats.held, stats.malformed), (0, 0, 0), "{stats:?}");
        self.leave();
        for (queue, used) in &self.gone {
            assert_eq!(
                queue.used_index(),
                *used,
                "it was written to after its front end had gone"
            );
        }
        self.tell(&Command::FlushTrace);
    }
}
