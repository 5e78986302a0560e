//! The host: what every other part of the harness needs of the machine that it runs on.
//!
//! Where things are ([`places`], [`cache`], [`scratch`]), how tools of the host are run and found missing ([`tool`],
//! [`doctor`]), what a person sees while work lasts ([`progress`]) and of what it came to ([`print`](mod@print)), and a
//! few helpers that need no home of their own: files that appear whole ([`atomic`]), "did you mean" ([`suggest`]),
//! numbers and shell words in a sentence ([`words`]).
//!
//! It depends on `exit` alone, for the errors of all this. It knows nothing of machines, cases, verdicts or the
//! block device, and of kernels and file systems only the tools that `doctor` looks for.
//!
//! Modules from the ground up; each knows only those of the lines above its own:
//!
//! ```layers
//! atomic durable places print scratch suggest tool words
//! cache progress
//! doctor
//! ```

pub mod atomic;
pub mod cache;
pub mod doctor;
mod durable;
pub mod places;
pub mod print;
pub mod progress;
pub mod scratch;
pub mod suggest;
pub mod tool;
pub mod words;
