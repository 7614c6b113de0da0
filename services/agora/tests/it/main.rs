//! The command `agora`, used as a person or a script uses it.

mod bench;
mod commands;
mod crash;
mod dlq;
mod environment;
mod fetch;
mod given;
mod load;
mod load_switches;
mod redrive;
mod refusals;
mod stop;
mod support;
mod switches;
mod tour;
mod trace;
