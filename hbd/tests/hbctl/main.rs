//! `hbctl` from outside: what it asks, what it shows, how it ends.

mod broken;
mod check;
mod convert;
mod daemon;
mod local;
mod orders;
mod questions;
mod terminal;
