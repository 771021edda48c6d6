//! The agent beside an amplifier or a neural pipeline: bytes in, OpenMetrics out.
//!
//! ```text
//!          decode           analyse
//! bytes ──────────▶ events ─────────▶ events ──────▶ state ──▶ /metrics
//!                                              fold
//! ```
//!
//! A module may use those on floors below its own, and no others; `tests/agent/tidy.rs` holds the
//! code to it. Below floor 3 nothing does I/O, waits or reads a clock.
//!
//! | floor | modules |
//! |---|---|
//! | 7 | [`cli`]: one file a subcommand |
//! | 6 | [`agent`]: build (bind everything), run, reload, drain |
//! | 5 | [`config`]: YAML to types, all errors |
//! | 4 | [`source`]: sockets, ports and pollers; [`http`]: the routes; [`provision`]: files to servers; [`store`]: the history on disk; [`respond`]: rules evaluated and alerts sent; [`ask`]: who answers a question of the past; [`remote_write`]: samples to servers; [`pushgateway`]: scrapes to gateways; [`simulate`]: devices that are not there |
//! | 3 | [`hub`]: the one place where events are folded; [`clock`]: the time; [`client`]: what HTTP clients have in common; [`watched`]: whether a connection received; [`view`]: what people look at |
//! | 2 | [`metrics`]: the series; [`analysis`]: budgets and peaks; [`render`]: the catalogue as files; [`history`]: samples in memory and as bytes; [`alert`]: rules and the states of alerts; [`session`]: from the begin of a recording to its end; [`trace`]: spans on their way out; [`write_request`]: bodies of remote write |
//! | 1 | [`decode`]: one file a wire format; [`catalog`]: everything that is measured; [`promql`]: questions and their answers |
//! | 0 | [`event`]: the vocabulary; [`setting`], [`listen`], [`document`]: what settings are written in; [`quote`]: text of others in the log; [`re2`]: regular expressions; [`origin`]: who may ask over HTTP; [`routing`]: who hears of which alert; [`mod@file`], [`sys`] |

pub mod agent;
pub mod alert;
pub mod analysis;
pub mod ask;
pub mod backoff;
pub mod catalog;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod decode;
pub mod document;
pub mod event;
pub mod file;
pub mod history;
pub mod http;
pub mod hub;
pub mod listen;
pub mod metrics;
pub mod origin;
pub mod promql;
mod protobuf;
pub mod provision;
pub mod pushgateway;
pub mod quote;
pub mod re2;
pub mod remote_write;
pub mod render;
pub mod respond;
pub mod routing;
pub mod secret;
pub mod session;
pub mod setting;
pub mod simulate;
pub mod source;
pub mod store;
pub mod sys;
pub mod trace;
pub mod view;
pub mod watched;
pub mod write_request;
