//! `sise serve`

use clap::Args;

use super::failure::{Outcome, by_signal};
use crate::config::RawSettings;
use crate::daemon::{self, Options};

/// Arguments of `sise serve`.
#[derive(Debug, Args)]
pub(super) struct ServeArguments {}

pub(super) async fn run(_arguments: ServeArguments, raw: RawSettings) -> Outcome {
    let options = Options {
        only_serves: true,
        ..Options::default()
    };
    let daemon = daemon::build(super::settings(&raw)?, options).await?;
    by_signal(daemon.run(daemon::signalled()).await?)
}
