//! The Mainstay server binary.

mod cli;

use std::process::ExitCode;

/// Many threads allocate and free small pieces per request; glibc's allocator
/// makes them wait for each other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::run() {
        Ok(code) => code,
        Err(error) => {
            cli::complain(&error);
            ExitCode::FAILURE
        }
    }
}
