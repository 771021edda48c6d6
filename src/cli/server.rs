//! Which agent a command asks, and how it is reached.

use std::path::PathBuf;

use super::{FileArgs, complain, query, run};
use crate::agent::Failure as Unread;
use crate::ask::Server;
use crate::provision::Access;
use crate::secret::{Basic, Link};

#[derive(Debug, clap::Args)]
pub(super) struct ServerArgs {
    /// The configuration file, which says where the agent is; as for `run` if omitted.
    #[arg(long, short, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The agent that is asked: http://lab:9612. If omitted: the one that the configuration describes.
    #[arg(long, alias = "url", global = true, value_name = "URL")]
    server: Option<String>,
    /// The file with the token of the proxy before the agent.
    #[arg(long, global = true, value_name = "FILE", requires = "server", conflicts_with = "user")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    login: LoginArgs,
}

/// What an agent with a web configuration asks for.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct LoginArgs {
    /// The user of the agent, or of the proxy before it.
    #[arg(long, global = true, value_name = "NAME", requires = "password_file")]
    user: Option<String>,
    /// The file with the password of that user.
    #[arg(long, global = true, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// The file with the certificates that the server's is signed by, PEM.
    #[arg(long, global = true, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

impl ServerArgs {
    /// The agent that this configuration describes.
    pub(super) fn of(file: &FileArgs, login: &LoginArgs) -> Self {
        Self { config: file.config.clone(), server: None, token_file: None, login: login.clone() }
    }

    /// The agent; nothing is sent to it. Says what is wrong with the configuration, the URL or a file.
    pub(super) fn open(&self) -> Option<Server> {
        self.try_open().inspect_err(|why| complain(why)).ok()
    }

    fn try_open(&self) -> Result<Server, String> {
        let LoginArgs { user, password_file, ca_file } = self.login.clone();
        let token_file = self.token_file.clone();
        let basic = user.zip(password_file).map(|(user, password_file)| Basic { user, password_file });
        let access = Access { token_file, basic, ca_file, ..Access::default() };
        let (of, url) = match &self.server {
            Some(url) => ("--server", url.clone()),
            None => {
                let file = FileArgs { config: self.config.clone() };
                let config = run::load(run::chosen(&file).as_deref());
                ("listen", query::own(&config.map_err(|problems| Unread::Config(problems).to_string())?))
            }
        };
        Server::open(&Link::from(url.as_str()), &access, None).map_err(|why| format!("{of}: {why}"))
    }
}
