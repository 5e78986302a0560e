//! Power cuts: what was not durable is lost, and nobody is answered until the power comes back.

use thiserror::Error;
use vhost_blk_api::control::Cut;
use vhost_blk_api::op::Op;
use vhost_blk_api::plan::{Lose, Torn};
use vhost_blk_api::trace::Record;

use super::Device;
use super::state::Pending;
use crate::power::gate::Power;
use crate::power::survivors::PowerCut;
use crate::request::access::Target;
use crate::request::execute::execute;
use crate::request::schedule::Released;
use crate::rulebook::decide::DeviceOutcome;

/// A power cut that nothing could be lost by, for want of knowledge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "nothing is known of what is not durable, and so nothing could be lost: start the device with --history BYTES, or \
     with a rule that cuts the power (then it is kept from there on), or cut with lose=none"
)]
pub struct NotKept;

impl Device {
    /// Does what a rule says becomes of the device as this request arrives.
    pub(crate) fn struck(&self, pending: Pending, rule: &str, outcome: DeviceOutcome) {
        match outcome {
            DeviceOutcome::Cut { lose, torn, seed } => {
                let Some(no_export) = self.gate.no_export(|| pending.completion.is_stale()) else {
                    return self.lose(self.lock(), [pending]);
                };
                self.cut_with(Some(pending), Some(rule), lose, torn, seed);
                drop(no_export);
            }
            DeviceOutcome::Disconnect => {
                self.lose(self.lock(), [pending]);
                self.trace.write(|| Record::HangUp {
                    t_us: self.trace.now_us(),
                    rule: Some(rule.to_owned()),
                });
                self.trace.flush();
                self.front_end.hang_up();
            }
        }
    }

    /// Cuts the power; what was not durable is lost, and all requests that are out are never answered.
    ///
    /// # Errors
    /// Something is to be lost, and nobody knows what is not durable.
    pub fn cut(&self, lose: Lose, torn: Option<Torn>, seed: u64) -> Result<Cut, NotKept> {
        if !self.disk.history.is_kept() && (lose, torn) != (Lose::None, None) {
            return Err(NotKept);
        }
        Ok(self.cut_with(None, None, lose, torn, seed))
    }

    fn cut_with(&self, last: Option<Pending>, rule: Option<&str>, lose: Lose, torn: Option<Torn>, seed: u64) -> Cut {
        let mut power = self.gate.power_exclusive();
        let mut state = self.lock();
        let seq = last.as_ref().map(|pending| pending.seq);
        if !power.on {
            self.lose(state, last);
            return Cut::default();
        }
        *power = Power {
            on: false,
            cuts: power.cuts + 1,
        };
        // A write that was on its way may get to the disk in part, also without a write cache: it was not completed. A
        // flush that is not answered has made nothing durable.
        let writes = |pending: &&Pending| !matches!(pending.request.facts.op, Op::Read | Op::Flush | Op::GetId);
        if let Some(pending) = last
            .as_ref()
            .filter(|pending| !pending.completion.is_stale())
            .filter(writes)
        {
            let target = Target {
                write_through: false,
                ..self.target(pending)
            };
            let _ = execute(&pending.request, target, pending.completion.mem(), None);
        }
        let waiting = state.schedule.clear();
        let cut = self.disk.history.cut(PowerCut { lose, torn, seed }, &mut &self.disk);
        let cut = cut.unwrap_or_default();
        state.stats.cuts += 1;
        state.stats.dark = true;
        self.trace.write(|| Record::Cut {
            t_us: self.trace.now_us(),
            rule: rule.map(str::to_owned),
            seq,
            volatile: cut.volatile,
            lost: cut.lost,
            torn_bytes: cut.torn_bytes,
        });
        self.lose(state, waiting.into_iter().map(|Released { item, .. }| item).chain(last));
        drop(power);
        self.trace.flush();
        cut
    }

    /// Gives power again. What was out when it went is never answered: a driver that waits for it must reset the
    /// device. Returns how many requests that are.
    pub fn power_on(&self) -> usize {
        let mut power = self.gate.power_exclusive();
        if power.on {
            return 0;
        }
        power.on = true;
        self.lock().stats.dark = false;
        let count = self.forget_lost();
        self.trace.write(|| Record::Power {
            t_us: self.trace.now_us(),
        });
        drop(power);
        self.trace.flush();
        count
    }
}
