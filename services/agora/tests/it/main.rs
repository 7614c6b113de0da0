//! The command `agora`, used as a person or a script uses it.

mod bench;
mod commands;
mod crash;
mod dlq;
mod environment;
mod fetch;
mod given;
// Not `tour`: tests begin in the order of their names, and at the end the longest one would run alone.
mod guided_tour;
mod load;
mod load_switches;
mod redrive;
mod refusals;
mod stop;
mod support;
mod switches;
mod trace;
