//! See [`director::fuzz::load`].
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| director::fuzz::load(data));
