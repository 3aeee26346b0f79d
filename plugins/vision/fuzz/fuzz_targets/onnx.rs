//! Any bytes are an ONNX file whose size can be set free, or are refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ferroflow_vision::import::fuzz::onnx(data));
