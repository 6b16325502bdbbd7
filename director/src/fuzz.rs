//! What a fuzzer may throw at: plain functions of any bytes that panic when a promise is broken.
//! Ordinary tests call them too; `scripts/fuzz` runs them for longer.

use crate::load::text;

/// Any bytes as what a server answers to a check: see the module `check::hearsay`.
pub fn answers(data: &[u8]) {
    crate::check::hearsay::hear(data);
}

/// Any bytes as what is said of a load (an agent's text, a JSON document): a reading is one that a weight can follow.
pub fn load(data: &[u8]) {
    let said = String::from_utf8_lossy(data);
    let from_json = |field, busy_at| text::from_json(data, field, busy_at);
    for reading in [text::read(&said), from_json("load.0", Some(4)), from_json("/load", None)] {
        match reading {
            Ok(reading) => {
                assert!(reading.percent.is_none_or(|percent| percent.is_finite() && percent >= 0.0))
            }
            Err(why) => assert!(!why.is_empty()),
        }
    }
}

/// Any bytes as a configuration, or as what the kernel's IPVS answers.
pub fn config(data: &[u8]) {
    sys::ipvs::walk_untrusted(data);
    crate::config::fuzz(&String::from_utf8_lossy(data));
}
