//! `/_script`: the same commands for another process.

use std::sync::Arc;

use hyper::Method;
use serde::Deserialize;
use serde_json::json;

use super::fault::Fault;
use super::plan::Reply;
use super::script::{Answer, Pace, Script};

/// Where it listens.
pub(super) const PATH: &str = "/_script";

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Command {
    /// For every request.
    fault: Option<Fault>,
    /// For the next requests, one each.
    push: Vec<Fault>,
    answer: Option<Answer>,
    pace: Option<Pace>,
}

pub(super) fn answer(method: &Method, body: &[u8], script: &Arc<Script>) -> Reply {
    match *method {
        Method::GET => Reply::whole(
            200,
            &json!({"count": script.request_count(), "requests": script.requests()}),
        ),
        Method::DELETE => {
            script.reset();
            Reply::whole(200, &json!({"reset": true}))
        }
        Method::POST => match serde_json::from_slice::<Command>(body) {
            Ok(command) => {
                carry_out(command, script);
                Reply::whole(200, &json!({"accepted": true}))
            }
            Err(error) => Reply::whole(400, &json!({"error": error.to_string()})),
        },
        _ => Reply::whole(405, &json!({"error": "use GET, POST or DELETE"})),
    }
}

fn carry_out(command: Command, script: &Script) {
    if let Some(fault) = command.fault {
        script.set_fault(fault);
    }
    script.push_faults(command.push);
    if let Some(answer) = command.answer {
        script.set_answer(answer);
    }
    if let Some(pace) = command.pace {
        script.set_pace(pace);
    }
}
