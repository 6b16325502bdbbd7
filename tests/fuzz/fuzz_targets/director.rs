//! See [`director::fuzz::config`].
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| director::fuzz::config(data));
