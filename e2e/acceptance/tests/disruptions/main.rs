//! Parts that end, are killed, are replaced or are away, under load. Each test has a world of its own, so that what
//! it breaks is nobody else's; the one that watches rest takes minutes, in which others run.

mod failover;
mod kills;
mod restarts;
