//! The translation between protocols, from outside: requests, answers, streams, errors, and what is
//! said to be lost.

mod answers;
mod clients;
mod conversations;
mod errors;
mod fates;
mod fixtures;
mod fuzz;
mod harness;
#[path = "../support/random.rs"]
mod random;
mod reasoning;
mod requests;
mod responses_client;
mod round_trip;
mod silence;
mod splits;
