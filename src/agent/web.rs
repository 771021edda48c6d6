//! Where `/metrics` is served: the listeners and their servers. What is served there is `http`'s.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::http::{self, Site};
use crate::listen::Address;
use crate::quote::plain;

/// The servers of `/metrics`, by address.
#[derive(Default)]
pub(super) struct Web {
    servers: Vec<(Address, CancellationToken, JoinSet<()>)>,
}

impl Web {
    /// Serves an address.
    pub(super) fn start(&mut self, address: Address, listener: TcpListener, site: &Arc<Site>) {
        let stop = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(http::serve(listener, site.clone(), stop.clone()));
        self.servers.push((address, stop, task));
    }

    /// Whether an address is served.
    pub(super) fn serves(&self, address: &Address) -> bool {
        self.servers.iter().any(|s| s.0 == *address)
    }

    /// Ends the servers of all other addresses.
    pub(super) async fn keep(&mut self, addresses: &[Address]) {
        let (keep, end) =
            std::mem::take(&mut self.servers).into_iter().partition(|s| addresses.contains(&s.0));
        self.servers = keep;
        Self { servers: end }.stop().await;
    }

    /// Ends all of them.
    pub(super) async fn stop(self) {
        for (_, stop, _) in &self.servers {
            stop.cancel();
        }
        for (_, _, task) in self.servers {
            task.join_all().await;
        }
    }
}

/// Opens an address, or takes the socket that systemd passed for it.
pub(super) fn bind(address: &Address, activated: &mut Vec<(String, OwnedFd)>) -> Result<TcpListener, String> {
    match address {
        Address::Tcp(at) => http::bind(*at).map_err(|e| {
            let hint = if e.kind() == std::io::ErrorKind::AddrInUse {
                format!(
                    "\n  hint: another program has this address; find it with: ss -ltnp 'sport = :{}'",
                    at.port()
                )
            } else {
                String::new()
            };
            format!("cannot serve metrics on http://{at}: {}{hint}", plain(&e))
        }),
        Address::Systemd(name) => {
            let place = activated.iter().position(|(n, _)| name.as_ref().is_none_or(|wanted| wanted == n));
            let Some(place) = place else {
                let name = name.as_deref().unwrap_or("any name");
                return Err(format!("cannot serve metrics: systemd passed no socket of {name}"));
            };
            let listener = std::net::TcpListener::from(activated.swap_remove(place).1);
            if listener.local_addr().is_err() {
                return Err("cannot serve metrics on systemd's socket: it is no TCP socket; write ListenStream with a port".to_owned());
            }
            let set = listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener));
            set.map_err(|e| format!("cannot serve metrics on systemd's socket: {}", plain(&e)))
        }
    }
}
