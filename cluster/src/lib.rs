//! What is decided: the failover core.
pub mod event;
pub mod io;
pub mod settings;
pub mod status;
pub mod time;
pub use event::{Event, Level};
pub use io::*;
pub use settings::*;
pub use time::Time;
