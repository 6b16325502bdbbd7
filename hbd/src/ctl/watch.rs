//! `status --watch`: the status again each second.

use base::terminal::watch::{self, Viewer};

use super::args::Common;
use super::commands::status_of;
use super::fail::Fail;
use super::status;

/// Shows the status each second until interrupted.
pub(super) fn run(common: &Common) -> Result<(), Fail> {
    let socket = common.socket();
    let viewer = Viewer { tool: "hbctl", json: common.json, color: common.color };
    watch::run(viewer, || status_of(common, &socket), status::render_with)
}
