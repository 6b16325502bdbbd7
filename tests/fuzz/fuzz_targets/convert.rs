//! See [`hbd::fuzz::convert`].
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hbd::fuzz::convert(data));
