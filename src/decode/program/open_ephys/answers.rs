//! What the HTTP server answers to the questions that the agent asks: the mode, the recording, the signal chain, the
//! processor's load and the latencies.
//!
//! Folders, names of files and parameters are in the answers, and are passed over.

use serde::Deserialize;

use crate::event::{FaultKind, ProgramState};

/// All that is ever asked for, each by GET. Other paths change the signal chain, some of them by GET as well
/// (`/api/processors/clear`, `/api/undo`, `/api/redo`), so that a list in code is the only place for them.
pub const PATHS: [&str; 5] = ["/api/status", "/api/recording", "/api/cpu", "/api/latency", "/api/processors"];

/// The answer of `/api/status`.
///
/// # Errors
/// It is not one.
pub fn status(body: &[u8]) -> Result<ProgramState, FaultKind> {
    #[derive(Deserialize)]
    struct Status<'a> {
        mode: &'a str,
    }
    match read::<Status<'_>>(body)?.mode {
        "IDLE" => Ok(ProgramState::Idle),
        "ACQUIRE" => Ok(ProgramState::Acquiring),
        "RECORD" => Ok(ProgramState::Recording),
        _ => Err(FaultKind::BadValue),
    }
}

/// The answer of `/api/cpu`: the share of its time that processing takes.
///
/// # Errors
/// It is not one.
pub fn cpu(body: &[u8]) -> Result<f64, FaultKind> {
    #[derive(Deserialize)]
    struct Cpu {
        usage: f64,
    }
    let usage = read::<Cpu>(body)?.usage;
    if usage < 0.0 { Err(FaultKind::Negative) } else { Ok(usage) }
}

/// A node that records, as `/api/recording` lists it.
#[derive(Debug, Deserialize, PartialEq)]
pub struct Node {
    /// Its number.
    pub node_id: u32,
    /// The number of the experiment; -1 before the first.
    #[serde(default)]
    pub experiment_number: i64,
    /// The number of the recording; -1 before the first.
    #[serde(default)]
    pub recording_number: i64,
    /// Whether its streams are on one clock.
    #[serde(default)]
    pub is_synchronized: Option<bool>,
}

/// The answer of `/api/recording`.
///
/// # Errors
/// It is not one.
pub fn recording(body: &[u8]) -> Result<Vec<Node>, FaultKind> {
    #[derive(Deserialize)]
    struct Recording {
        #[serde(default)]
        record_nodes: Vec<Node>,
    }
    Ok(read::<Recording>(body)?.record_nodes)
}

/// A step of the signal chain, as `/api/processors` and `/api/latency` list it.
#[derive(Debug, Deserialize, PartialEq)]
pub struct Processor {
    /// Its number.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// The streams that go through it.
    #[serde(default)]
    pub streams: Vec<Through>,
}

/// A stream that goes through a step.
#[derive(Debug, Deserialize, PartialEq)]
pub struct Through {
    /// Its name.
    pub name: String,
    /// The step that it comes from.
    #[serde(default)]
    pub source_id: Option<u32>,
    /// Samples per second.
    #[serde(default)]
    pub sample_rate: f64,
    /// Channels.
    #[serde(default)]
    pub channel_count: u32,
    /// Milliseconds that it takes through the step.
    #[serde(default)]
    pub latency: Option<f64>,
}

/// The answer of `/api/processors`, or of `/api/latency`.
///
/// # Errors
/// It is not one.
pub fn processors(body: &[u8]) -> Result<Vec<Processor>, FaultKind> {
    #[derive(Deserialize)]
    struct Processors {
        processors: Option<Vec<Processor>>,
    }
    // A chain without steps is `null`.
    Ok(read::<Processors>(body)?.processors.unwrap_or_default())
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, FaultKind> {
    serde_json::from_slice(body).map_err(|why| match why.classify() {
        serde_json::error::Category::Eof => FaultKind::Cut,
        serde_json::error::Category::Data if why.to_string().starts_with("missing field") => {
            FaultKind::MissingField
        }
        serde_json::error::Category::Data => FaultKind::BadValue,
        _ => FaultKind::Syntax,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_asked_for_changes_anything() {
        let known = ["status", "recording", "cpu", "latency", "processors"];
        assert!(PATHS.iter().all(|path| known.contains(&path.strip_prefix("/api/").unwrap())));
    }

    #[test]
    fn answers_are_read() {
        assert_eq!(status(br#"{"mode":"RECORD"}"#), Ok(ProgramState::Recording));
        assert_eq!(status(br#"{"mode":"ACQUIRE"}"#), Ok(ProgramState::Acquiring));
        assert_eq!(cpu(br#"{"usage":0.125}"#), Ok(0.125));
        let decoded =
            br#"{"append_text":"","parent_directory":"/home/x","record_nodes":[{"experiment_number":1,
            "is_synchronized":true,"node_id":102,"parent_directory":"/home/x","recording_number":3}]}"#;
        let node =
            Node { node_id: 102, experiment_number: 1, recording_number: 3, is_synchronized: Some(true) };
        assert_eq!(recording(decoded), Ok(vec![node]));
        let decoded = br#"{"processors":[{"id":100,"name":"File Reader","parameters":[],"predecessor":null,"streams":[
            {"channel_count":16,"name":"example_data","parameters":[],"sample_rate":40000.0,"source_id":100}]}]}"#;
        let chain = processors(decoded).unwrap();
        let stream = &chain[0].streams[0];
        assert_eq!((chain[0].id, &*stream.name, stream.channel_count), (100, "example_data", 16));
        let decoded =
            br#"{"processors":[{"id":101,"name":"Bandpass Filter","streams":[{"latency":2.5,"name":"a"}]},
            {"id":102,"name":"Record Node"}]}"#;
        assert_eq!(processors(decoded).unwrap()[0].streams[0].latency, Some(2.5));
        assert_eq!(processors(br#"{"processors":null}"#), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        assert_eq!(status(br#"{"mode":"ASLEEP"}"#), Err(FaultKind::BadValue));
        assert_eq!(status(b"{}"), Err(FaultKind::MissingField));
        assert_eq!(status(br#"{"mode":"#), Err(FaultKind::Cut));
        assert_eq!(cpu(b"<html>"), Err(FaultKind::Syntax));
        assert_eq!(cpu(br#"{"usage":-1}"#), Err(FaultKind::Negative));
        assert_eq!(cpu(br#"{"usage":"much"}"#), Err(FaultKind::BadValue));
        assert_eq!(recording(br#"{"record_nodes":7}"#), Err(FaultKind::BadValue));
    }
}
