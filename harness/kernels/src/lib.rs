//! Kernels: what `kernels.toml` names, what `kernels.lock` pins, and how they get into the store.
//!
//! [`Manifest`] → [`prepare()`] → [`Artifact`]. A [`Kernel`] has a [`Source`]: packages of a distribution, a tree to
//! build ([`TreeSource`]), or an image that is there already. In the order of what happens:
//!
//! - `manifest`, `parse`, `fields` and `diagnostic` read `kernels.toml`, and point at every mistake; `kernel`,
//!   [`package`] and `tree` are what is read. [`given`] makes a kernel of the command line's `--image` or `--tree`.
//! - [`resolve`] finds the packages of a version in a suite's index: a pure function. [`apt`] has that index and
//!   verifies the archive's signatures; [`lock`] pins packages by their hashes, and `fetch` verifies those.
//! - [`source`] brings source of any origin into one git repository of the cache, patches applied. [`build`] builds it
//!   in a directory that similar kernels share, and notes which files the build read.
//! - `unpack`, `decompress`, `payload` and `not_a_kernel` find the kernel that QEMU boots, or say what a file is;
//!   [`modules`] are those a guest loads. `package_format` tells package files from images.
//! - The [`store`] names each artifact by the hash of what it was made of, so nothing is made twice; [`stock`] says
//!   what is kept, what was not used for a time, and what an artifact was made of.
//!
//! This crate knows nothing of machines and cases, and nothing of how a verdict is reached; [`Expect`] is what the
//! manifest says of known failures, in the verdicts' own words, and is compared with a cell elsewhere.
//!
//! Modules from the ground up; each knows only those of the lines above its own:
//!
//! ```layers
//! decompress diagnostic package package_format store version
//! fields lock modules not_a_kernel tree
//! payload
//! apt kernel source unpack
//! build fetch parse resolve
//! manifest
//! error given
//! prepare
//! stock
//! ```

pub mod apt;
pub mod build;
pub mod decompress;
mod diagnostic;
mod error;
pub mod fetch;
mod fields;
pub mod given;
mod kernel;
pub mod lock;
mod manifest;
pub mod modules;
mod not_a_kernel;
pub mod package;
mod package_format;
mod parse;
mod payload;
pub mod prepare;
pub mod resolve;
pub mod source;
pub mod stock;
pub mod store;
mod tree;
mod unpack;
pub mod version;

pub use error::Error;
pub use given::GivenTree;
pub use kernel::{Expect, Kernel, Source};
pub use lock::Lock;
pub use manifest::Manifest;
pub use prepare::{Change, Options, prepare, ready, source_tree, update};
pub use store::Artifact;
pub use tree::{ConfigPart, Origin, TreeSource};
