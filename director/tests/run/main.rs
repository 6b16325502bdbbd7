//! The built program: a director without a kernel (`--backend dry-run`), real servers on loopback, its tool, and its
//! agent for hbd.

mod agent;
mod cli;
mod ground;
mod serving;
