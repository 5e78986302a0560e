//! What the guest still has to say when its job is over for the host.

use std::time::{Duration, Instant};

use evidence::hang::StallKind;
use evidence::parts::Ending;
use guest_wire::{DUMPED, Event, GuestMessage, HostMessage, Job};
use machine::Incoming;

use super::{Runner, gather};

/// How long a guest may take to print the stacks of blocked tasks and to send what its log has.
const DUMP_WITHIN: Duration = Duration::from_secs(10);

impl Runner<'_> {
    /// Waits for what the kernel still prints, and for the agent's own reading of it.
    pub(super) fn hear_out(&mut self, ending: &Ending, job: &Job) {
        let mark = match ending {
            Ending::Finished => format!("end {}", job.case),
            // The agent of a starved guest answers nothing.
            Ending::Stalled(stall) if stall.how == StallKind::Starved => return,
            Ending::Stalled(_) | Ending::Held { .. } => {
                if !self.dump_blocked(job) {
                    return;
                }
                DUMPED.to_owned()
            }
            _ => return,
        };
        gather::await_console(self.machine, &mark, self.watch.stolen_meanwhile());
    }

    /// Asks for the stacks of blocked tasks, and takes in what the agent says until it has sent them; says whether it
    /// did. The guest may be in any state: one that does not answer has the evidence that it has.
    fn dump_blocked(&mut self, job: &Job) -> bool {
        if self.machine.line().send(&HostMessage::DumpBlocked).is_err() {
            return false;
        }
        let deadline = Instant::now() + DUMP_WITHIN;
        let mut shown = false;
        loop {
            match self.machine.line().next(deadline) {
                Some(Incoming::Message(GuestMessage::Event { case, uptime_ms, event })) if case == job.case => {
                    shown |= shows_dump(&event);
                    let counted = matches!(event, Event::SoFar { .. });
                    self.take(uptime_ms, event);
                    if shown && counted {
                        return true;
                    }
                }
                // A line that was garbled is missed by the count of the events.
                Some(Incoming::Message(_) | Incoming::Noise(_)) => {}
                Some(Incoming::Closed) | None => return false,
            }
        }
    }
}

/// Whether this is the agent's reading of the mark behind the stacks.
fn shows_dump(event: &Event) -> bool {
    let Event::Log(piece) = event else {
        return false;
    };
    let mark = format!("bioscope: {DUMPED}");
    piece.records.iter().any(|record| record.text == mark)
}
