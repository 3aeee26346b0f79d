//! The `ferroflow` program.
fn main() {}
