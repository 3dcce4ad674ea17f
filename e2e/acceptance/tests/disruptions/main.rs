//! Parts that end, are killed, are replaced, are away or answer wrongly. Each test has a world of its own, so that
//! what it breaks is nobody else's. Two of them run side by side: most of their time is waiting.

mod cold_starts;
mod failover;
mod forbidden;
mod kills;
mod outage;
mod restarts;
mod watch_faults;
