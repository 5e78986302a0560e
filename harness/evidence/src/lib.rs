//! Evidence and the verdict on it.
//!
//! An [`EvidenceBundle`] is all that a verdict is made from: what ran and what its case needs, how the job ended, the
//! guest's events, the device's trace, the kernel's console, the hits of the fault plan's rules, the file system check.
//! It is one value and one directory ([`EvidenceBundle::save`], [`EvidenceBundle::load`]), with a version. Runs write
//! bundles, and everything that looks at a cell later reads them: bisection, recorded cells in tests, reports.
//!
//! [`judge()`] asks first whether the rig held, then what the kernel did wrong, then whether the thing under test
//! happened; only what comes through all three is a pass. It is a pure function, so a bundle that is loaded is judged
//! as it was when it was new. [`hang`] decides from a row of samples whether a task will never go on. [`parts`] and
//! [`needs`] are what a bundle is made of.
//!
//! Nothing here starts, waits for or talks to anything, and the only I/O is that of a bundle's own files. This crate
//! knows no case table, no machine, no run and no command line; the words of a verdict are the crate `verdict`'s.
//!
//! Modules from the ground up; each knows only those of the lines above its own:
//!
//! ```layers
//! context hang needs
//! parts
//! bundle
//! armed seal
//! judge
//! ```

mod armed;
mod bundle;
pub mod context;
pub mod hang;
mod judge;
pub mod needs;
pub mod parts;
mod seal;

pub use bundle::{BundleError, EvidenceBundle};
pub use judge::judge;
