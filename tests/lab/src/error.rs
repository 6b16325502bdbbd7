//! One error for the whole lab: a sentence that says what was tried, where, and what came back.

/// What went wrong, as a sentence for whoever reads the failed test.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct LabError(pub String);

impl LabError {
    /// An error with this text.
    pub fn new(text: impl Into<String>) -> LabError {
        LabError(text.into())
    }

    /// The same error with what was being done in front of it.
    pub fn while_doing(self, what: &str) -> LabError {
        LabError(format!("{what}: {}", self.0))
    }
}

/// Shorthand for everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, LabError>;

/// Turns any error into a [`LabError`] with what was tried.
pub(crate) trait Context<T> {
    /// Adds `what` in front of the error.
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: std::fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| LabError(format!("{}: {e}", what())))
    }
}
