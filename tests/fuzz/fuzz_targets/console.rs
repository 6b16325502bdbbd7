//! See [`hbd::fuzz::console`].
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hbd::fuzz::console(data));
