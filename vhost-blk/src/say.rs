//! What the device says to whoever watches it, on its standard error.

use std::fmt;
use std::io::Write;

/// Says a line: `say!("cannot write the trace: {error}")`. It never fails, and never ends a thread.
#[macro_export]
macro_rules! say {
    ($($words:tt)*) => {
        $crate::say::line(format_args!($($words)*))
    };
}

/// What [`say!`](crate::say) does.
#[doc(hidden)]
pub fn line(words: fmt::Arguments<'_>) {
    // Whole, so that the lines of two threads do not mix.
    let line = format!("vhost-blk: {words}\n");
    // Not by `eprintln!`, std's or another's, which panics where nothing can be written: standard error may be a file
    // on the disk whose being full is what is to be said, and the device goes on without the word.
    let _ = anstream::stderr().write_all(line.as_bytes());
}
