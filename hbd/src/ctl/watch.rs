//! `status --watch`: the status again each second.

use base::terminal::watch::{self, Viewer};

use super::args::Common;
use super::commands::ask;
use super::fail::Fail;
use super::status;
use crate::control::Verb;

/// Shows the status each second until interrupted.
pub(super) fn run(common: &Common) -> Result<(), Fail> {
    let socket = common.socket();
    let viewer = Viewer { tool: "hbctl", json: common.json, color: common.color };
    watch::run(viewer, || ask(common, &socket, Verb::Status), status::render_with)
}
