//! The mock as a plain HTTP client sees it.

mod asks;
mod client;
mod protocols;
mod refusals;
mod troubles;
