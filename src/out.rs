//! Standard output that may be closed. `println!` panics when its reader has seen enough, as `head` has after
//! ten lines; these do not. That it could not be written for another reason, such as a full disk, is
//! remembered.

use std::{
    fmt,
    io::{self, ErrorKind, Write},
    sync::Mutex,
};

/// Why standard output could not be written, first of all.
static FAILED: Mutex<Option<io::Error>> = Mutex::new(None);

/// As `print!`, without a word where nobody reads.
macro_rules! out {
    ($($text:tt)*) => { $crate::out::print(format_args!($($text)*)) };
}

/// As `println!`, without a word where nobody reads.
macro_rules! outln {
    () => { $crate::out::print_line(format_args!("")) };
    ($($text:tt)*) => { $crate::out::print_line(format_args!($($text)*)) };
}

/// Writes, and remembers why it could not.
pub fn print(text: fmt::Arguments<'_>) {
    keep(io::stdout().lock().write_fmt(text));
}

/// As [`print`], and ends the line.
pub fn print_line(text: fmt::Arguments<'_>) {
    let mut out = io::stdout().lock();
    keep(out.write_fmt(text).and_then(|()| out.write_all(b"\n")));
}

/// Why something that was printed is not all there, once all is printed.
pub fn failure() -> Option<io::Error> {
    keep(io::stdout().lock().flush());
    FAILED.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
}

fn keep(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        FAILED.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error);
    }
}
