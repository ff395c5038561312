//! The whole request path beside a bare handler that verifies the same token
//! and returns the same bytes, and beside one that, like the server, remembers
//! the tokens that it has verified.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use super::load::{Generator, Measured, Target};
use super::machine::resident_mb;
use crate::http::{exchange, is_ready, post};
use crate::interrupt;
use crate::process::{Service, Signal, guarded, run_ok};
use crate::project::Project;
use crate::report::step;
use crate::servers::free_port;
use crate::stack::{Options, Stack};
use crate::test::cargo;

const EXECUTE: &str = "/api/v1/ai/execute";
const QUESTION: &str = "Which tier answers when the disk is sick?";
const CONNECTIONS: u32 = 32;

/// The length of a value that fills the caches.
const VALUE_BYTES: usize = 256 * 1024;

/// How long to measure.
#[derive(Args, Debug)]
pub(crate) struct HttpArgs {
    /// Seconds of each run
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Runs of each side, alternating; the median counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Values of 256 KB stored to fill the caches
    #[arg(long, default_value_t = 3_000)]
    entries: usize,
}

/// What was measured in one turn: the bare handler, the one that remembers
/// tokens, and Mainstay.
type Turn = [Measured; 3];

/// What was measured, turn by turn.
struct Runs {
    saturated: Vec<Turn>,
    half: Vec<Turn>,
}

/// Measures and returns the page.
pub(super) fn measure(project: &Project, args: &HttpArgs) -> Result<String> {
    let generator = Generator::find_or_install(project)?;
    let bare_program = build_bare(project)?;
    let port = free_port()?;
    let mut stack = Stack::start(
        project,
        &Options {
            name: "bench",
            port,
            fresh: true,
            release: true,
            scripted_ai: true,
            // One client asks as fast as it can; the limits run, they only allow it.
            variables: &[
                ("MAINSTAY__LIMITS__AUTHENTICATED_PER_MINUTE", "1000000000"),
                ("MAINSTAY__LIMITS__AUTHENTICATED_PER_HOUR", "1000000000"),
                (
                    "MAINSTAY__LIMITS__CACHE_ADMINISTRATION_PER_MINUTE",
                    "1000000000",
                ),
            ],
        },
    )?;
    let idle = resident_mb(stack.server_id()).context("the server's memory is not readable")?;
    let token = login(&stack, port)?;
    let body = json!({"prompt": QUESTION}).to_string();
    let answer = hot_answer(port, &token, &body)?;
    let bare = Bare::start(&bare_program, project, port, &answer, false)?;
    let remembering = Bare::start(&bare_program, project, port, &answer, true)?;
    let urls = [
        format!("http://127.0.0.1:{}{EXECUTE}", bare.port),
        format!("http://127.0.0.1:{}{EXECUTE}", remembering.port),
        format!("http://127.0.0.1:{port}{EXECUTE}"),
    ];
    let targets = urls.each_ref().map(|url| Target {
        url,
        token: &token,
        body: &body,
    });
    let runs = step("measure", || alternate(&generator, &targets, args))?;
    stack.check()?;
    drop((bare, remembering));
    let filled = step("fill the caches", || {
        fill(port, &token, args.entries)?;
        Filled::read(port, &token, stack.server_id())
    })?;
    Ok(page(args, &runs, answer.len(), idle, &filled))
}

/// Takes turns, so that a busy minute of the machine hits everybody.
fn alternate(generator: &Generator, targets: &[Target<'_>; 3], args: &HttpArgs) -> Result<Runs> {
    let rounds = 0..args.rounds.max(1);
    for target in targets {
        generator.saturate(target, CONNECTIONS, 2)?;
    }
    let mut saturated = Vec::new();
    for _round in rounds.clone() {
        saturated.push([
            generator.saturate(&targets[0], CONNECTIONS, args.seconds)?,
            generator.saturate(&targets[1], CONNECTIONS, args.seconds)?,
            generator.saturate(&targets[2], CONNECTIONS, args.seconds)?,
        ]);
    }
    // Half of what Mainstay can do, for all: the same load.
    let rate = median(&saturated, |turn| turn[2].rate) / 2.0;
    let mut half = Vec::new();
    for _round in rounds {
        half.push([
            generator.at_rate(&targets[0], CONNECTIONS, args.seconds, rate)?,
            generator.at_rate(&targets[1], CONNECTIONS, args.seconds, rate)?,
            generator.at_rate(&targets[2], CONNECTIONS, args.seconds, rate)?,
        ]);
    }
    Ok(Runs { saturated, half })
}

/// The middle of what `of` says about each turn.
fn median(turns: &[Turn], of: impl Fn(&Turn) -> f64) -> f64 {
    let mut values: Vec<f64> = turns.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn login(stack: &Stack, port: u16) -> Result<String> {
    let credentials = stack.credentials();
    let answer = post(
        port,
        "/api/v1/auth/login",
        None,
        &json!({"email": credentials.email, "password": credentials.password}),
    )?;
    answer["access_token"]
        .as_str()
        .map(str::to_owned)
        .context("the login answered without an access token")
}

/// Asks until the answer comes from the hot tier and returns its bytes.
fn hot_answer(port: u16, token: &str, body: &str) -> Result<String> {
    let mut last = String::new();
    for _attempt in 0..3 {
        let answer = exchange(port, "POST", EXECUTE, Some(token), body)?;
        if answer.status != 200 {
            bail!("{EXECUTE} answered {}: {}", answer.status, answer.body);
        }
        let value: Value = serde_json::from_str(&answer.body)?;
        if value["provenance"] == "cache.hot" {
            return Ok(answer.body);
        }
        last = answer.body;
    }
    bail!("the question never came from the hot tier; the last answer was {last}")
}

/// The bare handler; stopped when dropped.
struct Bare {
    _service: Service,
    port: u16,
}

impl Bare {
    /// Starts it with the keys of the running server and the bytes of its answer.
    fn start(
        program: &Path,
        project: &Project,
        server: u16,
        answer: &str,
        remember: bool,
    ) -> Result<Self> {
        let state = project.root.join(".mainstay/bench");
        let keys = exchange(server, "GET", "/.well-known/jwks.json", None, "")?;
        let (jwks, body) = (state.join("jwks.json"), state.join("answer.json"));
        fs::write(&jwks, keys.body)?;
        fs::write(&body, answer)?;
        let port = free_port()?;
        let mut command = guarded(program, Signal::TERM);
        command
            .args(["--port", &port.to_string(), "--jwks"])
            .arg(&jwks)
            .arg("--body")
            .arg(&body)
            .args(remember.then_some("--remember"));
        let log = state.join(if remember {
            "remembering.log"
        } else {
            "bare.log"
        });
        let mut service = Service::start(
            "the bare handler",
            command,
            Some(&log),
            Signal::TERM,
            Duration::from_secs(5),
        )?;
        service.wait_until(Duration::from_secs(20), || {
            Ok(is_ready(port) || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok())
        })?;
        Ok(Self {
            _service: service,
            port,
        })
    }
}

fn build_bare(project: &Project) -> Result<PathBuf> {
    step("build the bare handler", || {
        run_ok(cargo(&project.root).args([
            "build",
            "--release",
            "--package",
            "mainstay-server",
            "--example",
            "bare",
        ]))
    })?;
    let target = crate::project::metadata(&project.root)?.target_directory;
    Ok(target.join("release/examples/bare").into_std_path_buf())
}

/// Stores values through the API for operators, which every tier keeps.
fn fill(port: u16, token: &str, entries: usize) -> Result<()> {
    let mut letters = Letters(1);
    for number in 0..entries {
        interrupt::check()?;
        let body = json!({"value": letters.words(VALUE_BYTES)}).to_string();
        let path = format!("/api/v1/cache/filling-{number}");
        let answer = exchange(port, "PUT", &path, Some(token), &body)?;
        if answer.status != 200 {
            bail!("PUT {path} answered {}: {}", answer.status, answer.body);
        }
    }
    Ok(())
}

/// How full the caches got, and what that takes. Of the disk only what was
/// written is counted; beyond its capacity the oldest made room.
struct Filled {
    hot_mb: f64,
    warm_mb: f64,
    resident_mb: f64,
}

impl Filled {
    fn read(port: u16, token: &str, server: u32) -> Result<Self> {
        let answer = exchange(port, "GET", "/api/v1/cache/stats", Some(token), "")?;
        let stats: Value = serde_json::from_str(&answer.body)?;
        let tier = |name: &str| {
            stats[name]["bytes"]
                .as_f64()
                .map(|bytes| bytes / (1024.0 * 1024.0))
                .with_context(|| format!("the statistics do not tell the size of {name}: {stats}"))
        };
        Ok(Self {
            hot_mb: tier("hot")?,
            warm_mb: tier("warm")?,
            resident_mb: resident_mb(server).context("the server's memory is not readable")?,
        })
    }
}

/// Words that no compression makes smaller, the same in every run.
struct Letters(u64);

impl Letters {
    fn words(&mut self, length: usize) -> String {
        (0..length)
            .map(|at| if at % 8 == 7 { ' ' } else { self.next() })
            .collect()
    }

    /// Xorshift: enough disorder for a compressor.
    fn next(&mut self) -> char {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        char::from(b'a' + u8::try_from(self.0 % 26).unwrap_or(0))
    }
}

fn page(args: &HttpArgs, runs: &Runs, bytes: usize, idle: f64, filled: &Filled) -> String {
    let ratio = median(&runs.saturated, |[bare, _, ours]| ours.rate / bare.rate);
    let least = median(&runs.saturated, |[_, least, ours]| ours.rate / least.rate);
    // At this load the handler that verifies every token is near its own limit,
    // so what a request waits there says nothing about us.
    let added = median(&runs.half, |[_, least, ours]| ours.p99 - least.p99);
    let row = |name: &str, turns: &[Turn], digits: usize, of: fn(&Measured) -> f64| {
        format!(
            "| {name} | {:.digits$} | {:.digits$} | {:.digits$} |\n",
            median(turns, |turn| of(&turn[0])),
            median(turns, |turn| of(&turn[1])),
            median(turns, |turn| of(&turn[2])),
        )
    };
    format!(
        "# The request path beside a bare handler\n\n\
         `POST {EXECUTE}` answered from the hot tier, beside an actix handler that verifies the \
         same token and returns the same {bytes} bytes, and beside one that verifies a token \
         once and then remembers it, as Mainstay does. All are release builds on the same \
         machine as the load generator (oha, {CONNECTIONS} connections), measured in turns, \
         {} runs of {} s each. Shown are medians, those of the comparison taken over \
         neighbouring runs. The comparison carries over to another machine, the numbers do \
         not.\n\n\
         | | bare handler | bare, remembering | Mainstay |\n| --- | ---: | ---: | ---: |\n\
         {}{}{}\n\
         | goal | measured | met |\n| --- | ---: | --- |\n\
         | at least 0.50 of the bare handler's rate | {ratio:.2} | {} |\n\
         | (beside the one that remembers tokens) | {least:.2} | no goal |\n\
         | less than 1 ms added to p99 at half load, beside the one that remembers | {added:.2} ms | {} |\n\
         | less than 150 MB resident when idle, default limits | {idle:.0} MB | {} |\n\
         | less than 2048 MB resident with {:.0} MB in memory and {:.0} MB written to disk | {:.0} MB | {} |\n",
        args.rounds,
        args.seconds,
        row("answers per second, saturated", &runs.saturated, 0, |run| {
            run.rate
        }),
        row(
            "p50 at half of Mainstay's saturation (ms)",
            &runs.half,
            2,
            |run| run.p50
        ),
        row(
            "p99 at half of Mainstay's saturation (ms)",
            &runs.half,
            2,
            |run| run.p99
        ),
        verdict(ratio >= 0.5),
        verdict(added < 1.0),
        verdict(idle < 150.0),
        filled.hot_mb,
        filled.warm_mb,
        filled.resident_mb,
        verdict(filled.resident_mb < 2048.0),
    )
}

fn verdict(met: bool) -> &'static str {
    if met { "yes" } else { "**no**" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(rate: f64) -> Measured {
        Measured {
            rate,
            p50: 1.0,
            p99: 2.0,
        }
    }

    #[test]
    fn the_comparison_pairs_neighbouring_runs() {
        // The machine got three times slower in the middle: the ratio did not.
        let turns = [[90.0, 99.0, 45.0], [30.0, 33.0, 15.0], [30.0, 33.0, 15.0]]
            .map(|rates| rates.map(measured));
        assert_eq!(median(&turns, |[bare, _, ours]| ours.rate / bare.rate), 0.5);
    }

    #[test]
    fn questions_are_long_different_and_the_same_every_time() {
        let mut letters = Letters(1);
        let (first, second) = (letters.words(100), letters.words(100));
        assert_eq!(first.len(), 100);
        assert_ne!(first, second);
        assert_eq!(Letters(1).words(100), first);
    }
}
