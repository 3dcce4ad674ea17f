//! The mock as a plain HTTP client sees it.

mod client;
mod protocols;
mod troubles;
