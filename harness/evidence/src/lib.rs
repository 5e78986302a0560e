//! Evidence and the verdict on it: pure functions over what a cell left behind.
//!
//! [`Evidence`] is all that a verdict is made from: the guest's events, the device's trace, the kernel's console, the hits
//! of the fault plan's rules, the file system check, and how the job ended. [`judge()`] asks first whether the rig held, then
//! what the kernel did wrong, then ([`needs`]) whether the thing under test happened; only what comes through all three is a
//! pass. [`hang`] decides from a row of samples whether a task will never go on.
//!
//! Nothing here starts, waits for or talks to anything. This crate knows no case table, no machine and no command line;
//! the words of a verdict are the crate `verdict`'s.

pub mod hang;
pub mod judge;
pub mod needs;
pub mod parts;

pub use judge::judge;
pub use parts::Evidence;
