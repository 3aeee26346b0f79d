//! Standard output that may be closed. `println!` panics when its reader has seen enough, as `head` has after ten lines; these
//! do not.

/// As `print!`, without a word where nobody reads.
macro_rules! out {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = write!(std::io::stdout().lock(), $($text)*);
    }};
}

/// As `println!`, without a word where nobody reads.
macro_rules! outln {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout().lock(), $($text)*);
    }};
}
