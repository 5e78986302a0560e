//! Cells made by hand for tests: whole and sealed, with clocks that all agree, so that a test changes what it is about
//! and nothing else.

use guest_wire::{Event, EventSeal, Fs, LogPiece, LogRecord, Phase, PhaseOutcome, Sample};
use vhost_blk_api::op::Op;
use vhost_blk_api::trace::{Complete, OutcomeNote, Record, Status, Submit, TimingNote};

use crate::bundle::EvidenceBundle;
use crate::context::{CellContext, Clocks, KernelIdentity, Offset};
use crate::parts::{ARM_MARK, DISARM_MARK, Ending, Fsck, ProgramKind, Timed, begin_mark, end_mark};

pub(crate) const CASE: &str = "overlap";
/// By how much the clocks may be wrong.
pub(crate) const WITHIN_US: u64 = 10_000;

/// Where the disk of a cell ends.
pub(crate) const DISK_BYTES: u64 = 1 << 30;

/// A cell as it is before it is sealed.
#[derive(Clone)]
pub(crate) struct Sketch {
    pub(crate) kind: ProgramKind,
    pub(crate) phases: Vec<(Phase, PhaseOutcome)>,
    /// What is said at the end of each phase that did not go well: a note, or the output of a user's own program.
    pub(crate) note: Option<String>,
    /// What the device recorded while the plan was in force.
    pub(crate) trace: Vec<Record>,
    /// Lines of the console between the marks.
    pub(crate) console: String,
    pub(crate) fsck: Option<Fsck>,
    pub(crate) ending: Ending,
}

impl Sketch {
    /// A cell in which nothing went wrong.
    pub(crate) fn healthy(kind: ProgramKind) -> Sketch {
        let of_test = |phase: &Phase| !matches!(phase, Phase::Setup | Phase::Remount | Phase::Verify);
        let phases = Phase::ALL
            .into_iter()
            .filter(|phase| kind == ProgramKind::Test || of_test(phase));
        Sketch {
            kind,
            phases: phases.map(|phase| (phase, PhaseOutcome::Done)).collect(),
            note: None,
            trace: request(1, 1_000_000, Op::Write, 2048, 8),
            console: String::new(),
            fsck: Some(Fsck {
                clean: true,
                unable: None,
                output: String::new(),
            }),
            ending: Ending::Finished,
        }
    }

    pub(crate) fn end(mut self, wanted: Phase, outcome: &PhaseOutcome) -> Sketch {
        for (phase, ends) in &mut self.phases {
            if *phase == wanted {
                *ends = outcome.clone();
            }
        }
        self
    }

    pub(crate) fn failed(self, wanted: Phase, what: &str) -> Sketch {
        self.end(wanted, &PhaseOutcome::Failed(what.to_owned()))
    }

    /// The same with a line on the console, printed at this second.
    pub(crate) fn says(mut self, second: f64, line: &str) -> Sketch {
        self.console.push_str(&format!("[{second:12.6}] {line}\r\n"));
        self
    }

    pub(crate) fn device(mut self, records: Vec<Record>) -> Sketch {
        self.trace.extend(records);
        self
    }

    /// The cell, sealed.
    pub(crate) fn bundle(&self) -> EvidenceBundle {
        let (begin, end) = marks();
        let events = self.events();
        let timed = |event| Timed {
            host_ms: 1000,
            uptime_ms: 1000,
            event,
        };
        let last = if self.ending == Ending::Finished {
            format!("[   99.000000] {end}\r\n")
        } else {
            String::new()
        };
        let offset = Some(Offset {
            rate_ppm: 1_000_000,
            add_us: 0,
            within_us: WITHIN_US,
        });
        let kernel = KernelIdentity::default();
        EvidenceBundle {
            events: events.into_iter().map(timed).collect(),
            trace: self.whole_trace(),
            fsck: self.fsck.clone(),
            clocks: Clocks {
                guest: offset,
                log: offset,
                device: offset,
            },
            ..EvidenceBundle::silent(
                self.kind,
                &[],
                CellContext::new(kernel, Fs::Btrfs, CASE),
                self.ending.clone(),
                format!("[    1.000000] {begin}\r\n{}{last}", self.console),
            )
        }
    }

    fn events(&self) -> Vec<Event> {
        let mut events = vec![Event::Begin];
        for (phase, outcome) in &self.phases {
            events.push(Event::PhaseStart { phase: *phase });
            if *phase == Phase::Run && self.kind == ProgramKind::Test {
                events.push(Event::Armed {
                    what: "ready".to_owned(),
                    holds: true,
                    detail: String::new(),
                });
            }
            if *outcome != PhaseOutcome::Done {
                events.extend(self.note.clone().map(|text| match self.kind {
                    ProgramKind::Test => Event::Note { text },
                    ProgramKind::Exec => Event::Output { left_out: 0, text },
                }));
            }
            events.push(Event::PhaseEnd {
                phase: *phase,
                outcome: outcome.clone(),
            });
        }
        if let Ending::Stalled(stall) = &self.ending {
            events.extend(std::iter::repeat_n(Event::Sample(sample(stall.phase)), stall.samples));
        }
        if self.ending != Ending::Finished {
            return events;
        }
        let record = |seq, text: String| LogRecord {
            seq,
            level: 6,
            facility: 0,
            time_us: 1_000_000,
            text,
        };
        let (begin, end) = marks();
        events.push(Event::Log(LogPiece {
            first: 1,
            last: 2,
            records: vec![record(1, begin), record(2, end)],
            digests: Vec::new(),
            overran: false,
        }));
        let mut seal = EventSeal::default();
        events.iter().for_each(|event| seal.add(1000, event));
        events.push(seal.end());
        events
    }

    fn whole_trace(&self) -> Vec<Record> {
        let mark = |name: &str, records| Record::Mark {
            t_us: 500_000,
            name: name.to_owned(),
            records: Some(records),
            disk_bytes: Some(DISK_BYTES),
        };
        let mut trace = vec![mark(&begin_mark(CASE), 0), mark(ARM_MARK, 1)];
        trace.extend(self.trace.iter().cloned());
        let records = trace.len() as u64;
        trace.push(mark(DISARM_MARK, records));
        trace.push(mark(&end_mark(CASE), records + 1));
        trace
    }
}

/// A look at a guest in which nothing is seen.
pub(crate) fn sample(phase: Phase) -> Sample {
    Sample {
        phase,
        phase_ms: 1,
        idle_ms: 1,
        runnable: 1,
        inflight: [0, 0],
        ring_timers: 0,
        tasks: Vec::new(),
    }
}

/// What the agent writes to the kernel's log where the case begins, and where it ends.
fn marks() -> (String, String) {
    (format!("bioscope: begin {CASE}"), format!("bioscope: end {CASE}"))
}

/// A request that was done as it was asked.
pub(crate) fn request(seq: u64, t_us: u64, op: Op, sector: u64, sectors: u64) -> Vec<Record> {
    completed(seq, t_us, op, sector, sectors, Status::Ok, None)
}

/// A request to which a rule's action was done.
pub(crate) fn injected(seq: u64, t_us: u64, op: Op, sector: u64, action: &str) -> Vec<Record> {
    let status = if action == "fail" { Status::IoErr } else { Status::Ok };
    completed(seq, t_us, op, sector, 8, status, Some(action))
}

/// A request that failed although no rule made it.
pub(crate) fn stray(seq: u64, t_us: u64, op: Op, sector: u64) -> Vec<Record> {
    completed(seq, t_us, op, sector, 8, Status::IoErr, None)
}

fn completed(seq: u64, t_us: u64, op: Op, sector: u64, sectors: u64, status: Status, by: Option<&str>) -> Vec<Record> {
    let outcome = by.map(|action| OutcomeNote {
        rule: "fault".to_owned(),
        action: action.to_owned(),
        bytes: None,
    });
    vec![
        submitted(seq, t_us - 100, op, sector, sectors),
        Record::Complete(Complete {
            seq,
            t_us,
            status,
            bytes: 0,
            latency_us: 100,
            timing: None,
            outcome,
        }),
    ]
}

fn submitted(seq: u64, t_us: u64, op: Op, sector: u64, sectors: u64) -> Record {
    Record::Submit(Submit {
        seq,
        t_us,
        queue: 0,
        generation: 1,
        op,
        sector,
        len: sectors * 512,
        tag: None,
        segs: 1,
        ranges: Vec::new(),
        rules: Vec::new(),
    })
}

/// A write that a rule kept from its completion.
pub(crate) fn held(seq: u64, from_us: u64, until_us: u64) -> Vec<Record> {
    let timing = TimingNote {
        rule: "slow".to_owned(),
        action: "hold".to_owned(),
        released_by: None,
    };
    vec![
        submitted(seq, from_us, Op::Write, 2048, 8),
        Record::Complete(Complete {
            seq,
            t_us: until_us,
            status: Status::Ok,
            bytes: 4096,
            latency_us: until_us - from_us,
            timing: Some(timing),
            outcome: None,
        }),
    ]
}
