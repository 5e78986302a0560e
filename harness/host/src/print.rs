//! Lines for a person or a program, in colour where that shows. Nobody may read them any more: see
//! [`exit::printed`].

use std::fmt::Arguments;
use std::io::Write;

/// Prints a text to standard output, with its line ends.
pub fn text(text: &str) {
    let mut out = anstream::stdout().lock();
    exit::printed(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// Prints a line to standard output; [`out`] says how it is put together.
pub fn out_line(line: Arguments<'_>) {
    text(&format!("{line}\n"));
}

/// Prints a line to standard error.
pub fn note_line(line: Arguments<'_>) {
    // There is nowhere to say that it failed.
    let _ = anstream::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Prints a line to standard output, as `println!` does, and does not panic.
#[macro_export]
macro_rules! out {
    ($($argument:tt)*) => {
        $crate::print::out_line(::std::format_args!($($argument)*))
    };
}

/// Prints a line to standard error, as `eprintln!` does, and does not panic.
#[macro_export]
macro_rules! note {
    ($($argument:tt)*) => {
        $crate::print::note_line(::std::format_args!($($argument)*))
    };
}

// For this crate, whose macros are otherwise at its root only.
pub(crate) use {note, out};
