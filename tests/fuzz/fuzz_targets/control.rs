//! See [`hbd::fuzz::control`].
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hbd::fuzz::control(data));
