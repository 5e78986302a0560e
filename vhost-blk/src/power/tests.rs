//! The history on real disks, in memory and in files.

mod bed;
mod history;
mod legal;
mod picture;
