//! `mainstay-upstream [--port N]`: a scripted AI upstream for other processes.
//!
//! It prints one line, `upstream ready http://127.0.0.1:PORT`, once it answers,
//! and runs until it is stopped. How to script it is told in the documentation
//! of `mainstay_testkit::upstream`.

use std::process::ExitCode;

use mainstay_testkit::upstream::ScriptedUpstream;

#[tokio::main(flavor = "current_thread")]
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "standard output is where its caller reads the address"
)]
async fn main() -> ExitCode {
    let port = match port(std::env::args().skip(1)) {
        Ok(port) => port,
        Err(complaint) => {
            eprintln!("{complaint}\nusage: mainstay-upstream [--port N]");
            return ExitCode::from(2);
        }
    };
    match ScriptedUpstream::start_on(port).await {
        Ok(upstream) => {
            println!("upstream ready {}", upstream.url());
            upstream.serve().await;
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("cannot listen on 127.0.0.1:{port}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn port(mut arguments: impl Iterator<Item = String>) -> Result<u16, String> {
    let mut port = 0;
    while let Some(argument) = arguments.next() {
        let value = match argument.strip_prefix("--port") {
            Some("") => arguments.next().ok_or("--port needs a number")?,
            Some(rest) if rest.starts_with('=') => rest[1..].to_owned(),
            _ => return Err(format!("unknown argument `{argument}`")),
        };
        port = value
            .parse()
            .map_err(|_| format!("`{value}` is not a port"))?;
    }
    Ok(port)
}
