//! Both stores count as the rules say, restated here in the plainest way; the shared one in real servers.

mod accounts;
mod limits;
mod lists;
mod model;
mod server;
