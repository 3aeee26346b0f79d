//! Exit codes, as `ferroflow --help` documents them.

/// Everything went well.
pub const SUCCESS: u8 = 0;
/// Something failed while running.
pub const FAILURE: u8 = 1;
/// The command line or a pipeline file is wrong; nothing ran.
pub const USAGE: u8 = 2;
/// A part failed (one video of many, one stream of several), the others are done.
pub const PARTIAL: u8 = 3;
/// Something that is needed is missing: a model, a library, a plug-in, a device. Only where that is looked at
/// before anything runs; a pipeline or a stage that finds it out while running has failed.
pub const MISSING: u8 = 4;
/// Stopped by SIGINT or SIGTERM; what was finished is kept and the rest can be resumed.
pub const INTERRUPTED: u8 = 130;

/// For `--help`.
pub const HELP: &str = "\
Exit codes:
  0    everything went well
  1    something failed while running
  2    the command line or a pipeline file is wrong; nothing ran
  3    a part failed (one video of many, one stream of several), the rest is done
  4    doctor, models, bench or a job over a directory misses something: a model, a library, a plug-in, a device
  130  stopped by SIGINT or SIGTERM; finished results are kept";
