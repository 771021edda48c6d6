//! What passes the network: interfaces and sockets of the page of the machine.
//!
//! It says nothing of single connections, whose number has no bound.

use super::super::{Metric, Unit};
use super::{COUNTER, GAUGE, host, put};
use crate::event::{Event, Interface, Sockets};

fn interfaces<'a>(event: &Event<'a>) -> &'a [Interface] {
    host(event).map_or(&[], |host| &host.interfaces)
}

fn sockets(event: &Event<'_>) -> Sockets {
    host(event).map(|host| host.sockets).unwrap_or_default()
}

pub(super) static NETWORK_RECEIVED: Metric = Metric {
    name: "host_network_received",
    help: "Bytes received, by interface",
    unit: Unit::Bytes,
    labels: &["interface"],
    read: |event, row| {
        for interface in interfaces(event) {
            row.set(&[&interface.name], interface.received.bytes);
        }
    },
    ..COUNTER
};

pub(super) static NETWORK_TRANSMITTED: Metric = Metric {
    name: "host_network_transmitted",
    help: "Bytes transmitted, by interface",
    unit: Unit::Bytes,
    labels: &["interface"],
    read: |event, row| {
        for interface in interfaces(event) {
            row.set(&[&interface.name], interface.transmitted.bytes);
        }
    },
    ..COUNTER
};

pub(super) static NETWORK_PACKETS: Metric = Metric {
    name: "host_network_packets",
    help: "Packets, by interface and direction",
    labels: &["interface", "direction"],
    read: |event, row| {
        for interface in interfaces(event) {
            row.set(&[&interface.name, "received"], interface.received.packets);
            row.set(&[&interface.name, "transmitted"], interface.transmitted.packets);
        }
    },
    ..COUNTER
};

pub(super) static NETWORK_ERRORS: Metric = Metric {
    name: "host_network_errors",
    help: "Packets with errors, by interface and direction",
    labels: &["interface", "direction"],
    read: |event, row| {
        for interface in interfaces(event) {
            row.set(&[&interface.name, "received"], interface.received.errors);
            row.set(&[&interface.name, "transmitted"], interface.transmitted.errors);
        }
    },
    ..COUNTER
};

pub(super) static NETWORK_DROPS: Metric = Metric {
    name: "host_network_drops",
    help: "Packets dropped, by interface and direction",
    labels: &["interface", "direction"],
    read: |event, row| {
        for interface in interfaces(event) {
            for (direction, traffic) in
                [("received", interface.received), ("transmitted", interface.transmitted)]
            {
                if let Some(drops) = traffic.drops {
                    row.set(&[&interface.name, direction], drops);
                }
            }
        }
    },
    ..COUNTER
};

pub(super) static SOCKETS: Metric = Metric {
    name: "host_sockets",
    help: "Sockets in use",
    read: |event, row| put(row, sockets(event).used),
    ..GAUGE
};

pub(super) static TCP_CONNECTIONS: Metric = Metric {
    name: "host_tcp_connections",
    help: "TCP connections, by state (established or time_wait)",
    labels: &["state"],
    read: |event, row| {
        let sockets = sockets(event);
        for (state, number) in [("established", sockets.tcp_established), ("time_wait", sockets.tcp_waiting)]
        {
            if let Some(number) = number {
                row.set(&[state], number);
            }
        }
    },
    ..GAUGE
};

pub(super) static TCP_RETRANSMITS: Metric = Metric {
    name: "host_tcp_retransmits",
    help: "TCP segments retransmitted",
    read: |event, row| put(row, sockets(event).tcp_retransmits),
    ..COUNTER
};

pub(super) static UDP_OVERFLOWS: Metric = Metric {
    name: "host_udp_overflows",
    help: "UDP datagrams dropped because a receive buffer was full",
    read: |event, row| put(row, sockets(event).udp_overflows),
    ..COUNTER
};
