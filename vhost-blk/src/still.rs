//! A disk that stands still while it is exported, for as long as that takes.
//!
//! Who exports has the power's lock alone. Whoever waits for that holds nothing else, so rings can be stopped, front ends hung up on and the device
//! ended meanwhile; a request waits no longer than its ring runs. Requests are taken and decided on all the same.

use std::ops::Deref;
use std::sync::{MutexGuard, PoisonError, RwLockReadGuard};

use crate::device::{Device, Power};

/// Exports of a device.
#[derive(Debug, Default)]
pub(crate) struct Exports {
    /// How many are under way or wait for their turn.
    count: usize,
    /// The power, while one of them has its lock alone.
    power: Option<Power>,
}

/// The power as it is for a while.
pub(crate) enum PowerSeen<'a> {
    /// Nobody changes it.
    Shared(RwLockReadGuard<'a, Power>),
    /// An export keeps it as it is, and does not end while this is kept.
    Exported(
        Power,
        #[allow(dead_code, reason = "it is kept")] MutexGuard<'a, Exports>,
    ),
}

impl Deref for PowerSeen<'_> {
    type Target = Power;

    fn deref(&self) -> &Power {
        match self {
            PowerSeen::Shared(power) => power,
            PowerSeen::Exported(power, _) => power,
        }
    }
}

/// An export that is under way, or waits for its turn.
struct Export<'a>(&'a Device);

/// One that has the power's lock alone.
struct Frozen<'a>(&'a Device);

impl Drop for Export<'_> {
    fn drop(&mut self) {
        self.0.exports().count -= 1;
        self.0.exported.notify_all();
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        self.0.exports().power = None;
    }
}

impl Device {
    fn exports(&self) -> MutexGuard<'_, Exports> {
        self.exports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn until_exports<'a>(
        &self,
        exports: MutexGuard<'a, Exports>,
        so: impl Fn(&Exports) -> bool,
    ) -> MutexGuard<'a, Exports> {
        let waited = self.exported.wait_while(exports, |exports| !so(exports));
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs something that must see the disk stand still.
    pub(crate) fn standing_still<T>(&self, look: impl FnOnce() -> T) -> T {
        self.exports().count += 1;
        // They end in the order in which others may look: first it is said that the power may change, then its lock goes, then all go on.
        let _export = Export(self);
        let power = self.power.write().unwrap_or_else(PoisonError::into_inner);
        self.exports().power = Some(*power);
        self.exported.notify_all();
        let _frozen = Frozen(self);
        look()
    }

    /// Waits until no export is under way, and lets none begin while the answer is kept; nothing once that is in vain.
    pub(crate) fn no_export(&self, in_vain: impl Fn() -> bool) -> Option<MutexGuard<'_, Exports>> {
        let exports = self.until_exports(self.exports(), |exports| exports.count == 0 || in_vain());
        (exports.count == 0).then_some(exports)
    }

    /// The power, for work on the disk; it stays as it is while the answer is kept. Nothing if an export is under way and to wait for it is in
    /// vain.
    pub(crate) fn power_unless(&self, in_vain: impl Fn() -> bool) -> Option<RwLockReadGuard<'_, Power>> {
        if let Ok(power) = self.power.try_read() {
            return Some(power);
        }
        // All others have it for a moment only.
        let no_export = self.no_export(in_vain)?;
        let power = self.power();
        drop(no_export);
        Some(power)
    }

    /// The power, for who does not touch the disk and so waits for no export; it stays as it is while the answer is kept.
    pub(crate) fn power_seen(&self) -> PowerSeen<'_> {
        if let Ok(power) = self.power.try_read() {
            return PowerSeen::Shared(power);
        }
        let exports = self.until_exports(self.exports(), |exports| exports.count == 0 || exports.power.is_some());
        match exports.power {
            Some(power) => PowerSeen::Exported(power, exports),
            None => PowerSeen::Shared(self.power()),
        }
    }

    /// Has those look again who may be waiting in vain.
    pub(crate) fn waits_in_vain(&self) {
        drop(self.exports());
        self.exported.notify_all();
    }
}
