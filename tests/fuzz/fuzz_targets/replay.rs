//! See [`proto::fuzz::replay`].
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| proto::fuzz::replay(data));
