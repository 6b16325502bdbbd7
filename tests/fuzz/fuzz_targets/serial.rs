//! See [`proto::fuzz::serial`].
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| proto::fuzz::serial(data));
