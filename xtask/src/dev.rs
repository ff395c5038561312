//! `cargo xtask dev`: everything a developer needs, in the foreground, on loopback.

use std::env;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::interrupt;
use crate::process::pause;
use crate::project::Project;
use crate::stack::{Options, Stack};

/// How to run.
#[derive(Args, Debug)]
pub(crate) struct DevArgs {
    /// The port on 127.0.0.1
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Throw away the state of earlier runs and start anew
    #[arg(long)]
    fresh: bool,
    /// Build with optimisations
    #[arg(long)]
    release: bool,
    /// Let a scripted AI on loopback answer instead of a real provider
    #[arg(long)]
    scripted_ai: bool,
}

/// Runs everything until Ctrl-C.
pub(crate) fn dev(args: &DevArgs) -> Result<()> {
    check_port(args.port)?;
    let project = Project::open()?;
    let mut stack = Stack::start(
        &project,
        &Options {
            name: "dev",
            port: args.port,
            fresh: args.fresh,
            release: args.release,
            scripted_ai: args.scripted_ai,
            variables: &[],
        },
    )?;
    greet(&stack, args);
    while !interrupt::requested() {
        stack.check()?;
        pause();
    }
    eprintln!("stopping");
    Ok(())
}

/// The ready line and what a newcomer needs next.
fn greet(stack: &Stack, args: &DevArgs) {
    let address = format!("http://127.0.0.1:{}", args.port);
    let credentials = stack.credentials();
    println!("mainstay ready {address}");
    println!("  e-mail    {}", credentials.email);
    println!("  password  {}", credentials.password);
    println!("  docs      {address}/docs");
    println!("  log       {}", stack.log().display());
    if !args.scripted_ai && !provider_configured() {
        println!(
            "  AI        no provider configured: answers come from cache and knowledge; set \
             ANTHROPIC_API_KEY or OPENAI_API_KEY, or run with --scripted-ai"
        );
    }
    println!("Ask something (Ctrl-C here stops everything):\n");
    println!("{}", credentials.curl(&address));
}

/// Says what to do about a taken port before anything was built.
fn check_port(port: u16) -> Result<()> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => bail!(
            "port {port} is taken: stop what listens there, or choose another with `cargo xtask dev --port {}`",
            port.checked_add(1).unwrap_or(8000)
        ),
        Err(error) => Err(error).with_context(|| {
            format!("cannot listen on 127.0.0.1:{port}; choose another port with --port")
        }),
    }
}

fn provider_configured() -> bool {
    ["ANTHROPIC_API_KEY", "OPENAI_API_KEY"]
        .iter()
        .any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_names_the_remedy() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = check_port(port).unwrap_err().to_string();
        assert!(error.contains("--port"), "{error}");
        assert!(error.contains(&port.to_string()), "{error}");
    }
}
