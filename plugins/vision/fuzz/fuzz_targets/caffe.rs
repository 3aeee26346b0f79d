//! Any bytes are a network and its weights, or are refused. A byte 0 ends the network's text.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ferroflow_vision::import::fuzz::caffe(data));
