//! A command whose reader goes away (`chancery check . | head -1`) ends quietly, as commands of Unix do.
//!
//! Rust ignores SIGPIPE, so that `println!` panics where other programs are ended by the signal. To take the
//! signal back needs unsafe code; the panic can be told by its message.
//!
//! For commands that print and end. A server must outlive whoever reads what it prints: `chancery` does not
//! use this, and writes its output by functions that take a closed pipe for the end.

use std::panic::{self, PanicHookInfo};

/// The status that a shell shows for a program that SIGPIPE ended: 128 and the number of the signal.
const ENDED_BY_SIGPIPE: i32 = 128 + 13;

/// From now on, printing to a pipe that nobody reads ends the process with the status 141, without a word.
pub fn end_quietly() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if is_closed_pipe(info) {
            std::process::exit(ENDED_BY_SIGPIPE);
        }
        report(info);
    }));
}

fn is_closed_pipe(info: &PanicHookInfo<'_>) -> bool {
    // The words of `std::io`'s printing macros, and those of the error EPIPE.
    info.payload_as_str()
        .is_some_and(|text| text.starts_with("failed printing to ") && text.contains("Broken pipe"))
}
