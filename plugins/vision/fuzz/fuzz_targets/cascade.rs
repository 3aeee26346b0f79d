//! Any text is a cascade, with which a small picture can be searched, or is refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ferroflow_vision::import::fuzz::cascade(data));
