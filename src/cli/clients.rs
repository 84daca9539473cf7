//! `sise clients`

use std::time::Duration;

use chrono::Utc;
use clap::{Args, Subcommand};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::failure::{DONE, Failure, INCOMPLETE, Outcome};
use super::output;
use super::similar;
use super::table::Table;
use crate::clients::Clients;
use crate::config::RawSettings;
use sise_domain::Seoul;

/// Arguments of `sise clients`.
#[derive(Debug, Args)]
pub(super) struct ClientsArguments {
    #[command(subcommand)]
    command: ClientsCommand,
}

#[derive(Debug, Subcommand)]
enum ClientsCommand {
    /// Give a client an access token, which is shown only once
    Add {
        /// Name of the client, such as trading-agent
        name: String,
        /// Life of the token
        #[arg(long, value_name = "DURATION", default_value = "90days", value_parser = humantime::parse_duration)]
        life: Duration,
    },
    /// End all sessions of a client
    Remove {
        /// Name of the client
        name: String,
    },
    /// Show the clients that have access, and until when
    List {
        /// Print JSON: an array of objects
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(arguments: ClientsArguments, raw: RawSettings) -> Outcome {
    let wiring = super::wiring(&raw)?;
    super::redis(&wiring)?;
    let clients = Clients::new(&wiring.cache);
    match arguments.command {
        ClientsCommand::Add { name, life } => {
            if output::is_lost() {
                return Err(Failure::failed(
                    "standard output is closed or the null device, and the token is shown only \
                     once: let it go to a terminal, a pipe or a file",
                ));
            }
            let now = (wiring.clock)().with_timezone(&Utc);
            let (token, grant) = clients.add(&name, life, now).await?;
            let until = grant
                .until
                .with_timezone(&Seoul)
                .format("%Y-%m-%d %H:%M KST");
            output::line(token.expose_secret());
            if let Err(unwritten) = output::written() {
                return Err(take_back(&clients, &name, &token, unwritten).await);
            }
            output::note(format!(
                "{name} has access until {until}; the token is not shown again"
            ));
            Ok(DONE)
        }
        ClientsCommand::Remove { name } => {
            let ended = clients.remove_all(&name).await?;
            if ended == 0 {
                let sessions = clients.list(None).await?;
                let users = sessions.iter().map(|session| session.user.as_str());
                let meant = similar::meant(&name, users);
                output::note(format!("{name} has no session{meant}"));
                return Ok(INCOMPLETE);
            }
            output::line(format!("{ended} sessions of {name} have ended"));
            Ok(DONE)
        }
        ClientsCommand::List { json } => list(&clients, json).await,
    }
}

/// Ends the session of a token that could not be written, even if only the pipe was closed: the
/// token is lost.
async fn take_back(
    clients: &Clients,
    name: &str,
    token: &SecretString,
    unwritten: &std::io::Error,
) -> Failure {
    let end = match clients.remove(token.expose_secret()).await {
        Ok(_) => format!("{name} was not given access"),
        Err(error) => {
            format!("nor can it be taken back ({error}): `sise clients remove {name}` ends it")
        }
    };
    Failure::failed(format!(
        "the token cannot be written to standard output ({unwritten}); {end}"
    ))
}

async fn list(clients: &Clients, json: bool) -> Outcome {
    let sessions = clients.list(None).await?;
    if json {
        output::json(&json!(sessions));
        return Ok(DONE);
    }
    if sessions.is_empty() {
        output::note("no client has an access token: `sise clients add NAME` creates one");
        return Ok(DONE);
    }
    let mut table = Table::new(&["client", "session", "since", "until"]);
    let time = |time: chrono::DateTime<Utc>| {
        let time = time.with_timezone(&Seoul);
        time.format("%Y-%m-%d %H:%M").to_string()
    };
    for session in sessions {
        let (since, until) = (time(session.since), time(session.until));
        table.add_row([session.user, session.id, since, until]);
    }
    output::rows(&table);
    Ok(DONE)
}

impl From<crate::clients::ClientsError> for Failure {
    fn from(error: crate::clients::ClientsError) -> Self {
        use crate::clients::ClientsError;
        match error {
            ClientsError::Invalid(why) => Self::usage(why),
            other => Self::failed(other.to_string()),
        }
    }
}
