//! How far a check has come: what is said of it when its deadline passes, and what somebody should know though it is
//! good.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

/// Told by the check on its way, read by whoever keeps the deadline.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    stage: Mutex<Cow<'static, str>>,
    warning: Mutex<Option<String>>,
}

impl Progress {
    /// Where it stands: "before it had answered EHLO".
    pub fn at(&self, stage: impl Into<Cow<'static, str>>) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage.into();
    }

    /// Good, but.
    pub fn warn(&self, warning: String) {
        *self.warning.lock().unwrap_or_else(PoisonError::into_inner) = Some(warning);
    }

    /// Where it stood last.
    pub fn stage(&self) -> Cow<'static, str> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The warning, if there was one.
    pub fn warning(&self) -> Option<String> {
        self.warning.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
