//! See [`director::fuzz::answers`].
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| director::fuzz::answers(data));
