//! The `ferroflow` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    ferroflow::cli::main()
}
