//! `demo`: the agent on its defaults, and a simulated pipeline that talks to it as a real one would.

use std::net::SocketAddr;

use super::{Exit, print, recording, run};
use crate::agent::events_socket;
use crate::config::Config;
use crate::listen::{Address, Many};
use crate::source::simulate;

pub(super) fn demo(listen: SocketAddr, seconds: Option<u64>) -> Exit {
    let load = move || {
        let mut config = Config { listen: Many(vec![Address::Tcp(listen)]), ..Config::default() };
        config.log.level = "warn".to_owned();
        Ok(config)
    };
    run::start(
        load,
        |_| Ok(()),
        move |agent| async move {
            let at = agent.addresses().first().copied().unwrap_or(listen);
            let socket = events_socket();
            print(guide(at, &socket.display().to_string()).as_bytes());
            let pipeline = tokio::spawn(simulate::pipeline(socket));
            let ended = agent.run(recording::stop_after(seconds)).await;
            pipeline.abort();
            ended
        },
    )
}

/// What the demo prints: where to look, and what to send.
fn guide(at: SocketAddr, socket: &str) -> String {
    format!(
        "neural-exporter demo: a simulated pipeline talks to the agent over its Unix socket.\n\
         \n\
         Look:\n\
         \x20 http://{at}/           the sources and how they fare\n\
         \x20 curl -s http://{at}/metrics | grep neural_stage\n\
         \n\
         Send something of your own:\n\
         \x20 echo '{{\"type\":\"stage\",\"pipeline\":\"mine\",\"stage\":\"classify\",\"seconds\":0.85,\"outcome\":\"ok\"}}' \\\n\
         \x20   | socat - UNIX-CONNECT:{socket}\n\
         \x20 echo 'mine.trials:1|c|#subject:left' | socat - UDP:127.0.0.1:8125\n\
         \n\
         Scrape it with Prometheus:\n\
         \x20 scrape_configs: [{{job_name: neural, static_configs: [{{targets: [\"{at}\"]}}]}}]\n\
         \n\
         Ctrl-C ends it.\n"
    )
}
