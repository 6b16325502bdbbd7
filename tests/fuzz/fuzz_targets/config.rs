//! See [`hbd::fuzz::config`].
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hbd::fuzz::config(data));
