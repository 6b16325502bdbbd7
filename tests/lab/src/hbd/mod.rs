//! hbd under test: its configuration, its processes, and what it says of itself.

pub mod config;
pub mod daemon;
pub mod status;

pub use config::Settings;
pub use daemon::Daemon;
pub use status::Status;
