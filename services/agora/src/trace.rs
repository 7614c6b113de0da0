//! `agora trace`: the journey of an order, in the terminal.
//!
//! | where | what |
//! |---|---|
//! | `lines.rs` | a line for each hop |
//! | `mermaid.rs` | a sequence diagram, to paste into a ticket |

mod lines;
mod mermaid;

use std::path::PathBuf;

use chassis::admin::AdminToken;
use chassis::output::{PrintError, print, unread};
use clap::Args;
use client::{Address, CallContext, CallError, Events, Peer, RestClient};
use serde_json::Value;

use crate::failure::Failure;
use crate::files;

pub(crate) const AFTER_HELP: &str = "\
Without --url it asks the observatory of the marketplace that runs in the data directory (`agora up`).

Examples:
  agora trace 0190163d-8694-739b-aea5-966c26f8ad91   the journey of this order, a line for each hop
  agora trace 4bf92f3577b34da6a3ce929d0e0e4736       a trace by its id, as each problem document has it
  agora trace                                        the last traces
  agora trace ORDER --mermaid                        a sequence diagram, to paste into a ticket
  agora trace --follow                               hops as they come

Exit code: 0, 1 if it failed or nothing is known of it, 2 if the command line cannot be used.";

/// How the observatory is called.
const ASKED: &str = "deadline=5s,attempt=5s,breaker=off";
/// Traces in the list.
const LAST: u32 = 20;

/// Shows the journey of an order through the services.
#[derive(Args, Clone, Debug)]
pub(crate) struct Trace {
    /// An order's id, or a trace's; without it: the last traces.
    #[arg(value_name = "ORDER|TRACE")]
    what: Option<String>,
    /// As a Mermaid sequence diagram.
    #[arg(long, requires = "what", conflicts_with_all = ["json", "follow"])]
    mermaid: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// Hops as they come, until it is stopped; of one trace if its id is given.
    #[arg(long)]
    follow: bool,
    /// The data directory of the marketplace that runs [default: that of `agora up`].
    #[arg(long, env = "AGORA_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The observatory, such as http://127.0.0.1:8095.
    #[arg(long, value_name = "URL")]
    url: Option<Address>,
    /// The token of the observatory, if it has one.
    #[arg(
        long,
        env = "OBSERVATORY_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    observatory_token: Option<AdminToken>,
}

/// The client of the observatory, with its token.
struct Observatory {
    client: RestClient,
    context: CallContext,
}

/// What is asked about.
#[derive(Debug, PartialEq, Eq)]
enum What {
    Trace(String),
    Order(String),
}

/// Does what was asked for.
pub(crate) async fn run(asked: Trace) -> Result<(), Failure> {
    // Before anything is looked for: what is no id is a mistake whatever runs.
    let what = asked.what.as_deref().map(What::read).transpose()?;
    let observatory = asked.observatory()?;
    if asked.follow {
        return tokio::select! {
            ended = follow(observatory, what.as_ref(), asked.json) => ended,
            () = unread() => Err(PrintError::Unread.into()),
        };
    }
    let Some(what) = &what else {
        let list = get(&observatory, &format!("/v1/traces?min_hops=2&limit={LAST}")).await?;
        let text = match asked.json {
            true => format!("{list:#}\n"),
            false => lines::list(&list),
        };
        return Ok(print(&text)?);
    };
    let trace_id = trace_id(&observatory, what).await?;
    let trace = get(&observatory, &format!("/v1/traces/{trace_id}")).await?;
    let text = match (asked.json, asked.mermaid) {
        (true, _) => format!("{trace:#}\n"),
        (_, true) => mermaid::diagram(&trace),
        _ => lines::trace(&trace),
    };
    Ok(print(&text)?)
}

impl Trace {
    fn observatory(&self) -> Result<Observatory, Failure> {
        let address = match &self.url {
            Some(url) => url.clone(),
            None => self.running()?.parse().map_err(Failure::new)?,
        };
        let config = ASKED.parse().map_err(Failure::new)?;
        let token = self.observatory_token.as_ref();
        let context = token.map(|token| CallContext::bearer(token.reveal()));
        Ok(Observatory {
            client: RestClient::new(Peer::new("observatory", address, config)),
            context: context.unwrap_or_default(),
        })
    }

    /// Where the observatory of the running marketplace is.
    fn running(&self) -> Result<String, Failure> {
        let hint = "say where with --data-dir or --url";
        let endpoints = files::running(self.data_dir.as_deref(), hint)?;
        let url = endpoints["observatory"].as_str();
        url.map(str::to_owned)
            .ok_or_else(|| Failure::new("endpoints.json names no observatory"))
    }
}

impl What {
    /// An id as people paste it: ids are stored in small letters.
    fn read(id: &str) -> Result<Self, Failure> {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if id.is_empty() || !id.bytes().all(is_plain) {
            return Err(Failure::configuration(format!(
                "{id:?} is no order's id and no trace's"
            )));
        }
        let id = id.to_ascii_lowercase();
        let is_trace = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
        Ok(if is_trace {
            Self::Trace(id)
        } else {
            Self::Order(id)
        })
    }
}

/// The id of a trace, or of the trace that began with this order.
async fn trace_id(observatory: &Observatory, what: &What) -> Result<String, Failure> {
    let order = match what {
        What::Trace(id) => return Ok(id.clone()),
        What::Order(id) => id,
    };
    let found = get(
        observatory,
        &format!("/v1/traces?mentions={order}&limit=200"),
    )
    .await?;
    // The newest trace is first; the order began with the oldest one.
    let first = found["traces"].as_array().and_then(|traces| traces.last());
    let id = first.and_then(|trace| trace["trace_id"].as_str());
    id.map(str::to_owned).ok_or_else(|| {
        Failure::new(format!(
            "nothing is known of {order}: it is too old, or the observatory did not see it"
        ))
    })
}

async fn follow(
    observatory: Observatory,
    what: Option<&What>,
    as_json: bool,
) -> Result<(), Failure> {
    let path = match what {
        Some(what) => format!("/v1/hops?trace_id={}", trace_id(&observatory, what).await?),
        None => "/v1/hops".to_owned(),
    };
    let events = Events::<Value>::open(observatory.client, path, None, observatory.context);
    let mut events = events.await.map_err(failed)?;
    while let Some(record) = events.next().await {
        let record = record.map_err(failed)?;
        let line = match as_json {
            true => format!("{record}\n"),
            false => lines::record(&record),
        };
        print(&line)?;
    }
    Ok(())
}

async fn get(observatory: &Observatory, path: &str) -> Result<Value, Failure> {
    let answer = observatory.client.get(path, &observatory.context).await;
    answer.map_err(failed)
}

fn failed(error: CallError) -> Failure {
    match error {
        CallError::Problem(problem) => {
            let said = problem
                .detail
                .clone()
                .unwrap_or_else(|| problem.title.clone());
            Failure::new(said)
        }
        // A marketplace that was killed leaves its endpoints.json behind.
        error => Failure::new(format!(
            "the observatory: {error}; if it does not run, start `agora up`"
        )),
    }
}

/// An untrusted text for a line of output, without control characters.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// A member of a hop as text; `?` if it is missing.
fn text(of: &Value, name: &str) -> String {
    plain(of[name].as_str().unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_people_paste_it() {
        let order = "0190163D-8694-739B-AEA5-966C26F8AD91";
        let trace = "4BF92F3577B34DA6A3CE929D0E0E4736";
        let read = |id: &str| What::read(id).unwrap();
        assert_eq!(read(order), What::Order(order.to_ascii_lowercase()));
        assert_eq!(read(trace), What::Trace(trace.to_ascii_lowercase()));
        assert_eq!(
            read(&trace[1..]),
            What::Order(trace[1..].to_ascii_lowercase())
        );
        for wrong in ["", " ", "a&limit=1", "../state", "a b", "\u{e9}"] {
            let failure = What::read(wrong).unwrap_err();
            assert!(failure.to_string().contains("no trace's"), "{failure}");
        }
    }
}
