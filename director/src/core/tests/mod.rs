//! The core on a virtual clock, with a kernel in memory and real servers that are good or bad as the test says.

mod behaviour;
mod kernel;
mod load;
mod orders;
mod reloads;
mod world;
