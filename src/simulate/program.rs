//! Simulated programs that acquire and record: Intan RHX and Open Ephys GUI as far as the agent asks them, for the
//! demo. Both record all the time.
//!
//! Written from the programs' documents; nothing here knows the decoders.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Samples per second of the headstage.
const RATE: u32 = 20_000;
/// Bytes of a request that are read.
const REQUEST: usize = 4096;

/// A program by what it is asked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Intan RHX: its command server.
    Intan,
    /// Open Ephys GUI: its HTTP server.
    OpenEphys,
}

/// Answers until it is dropped.
pub async fn program(program: Program, listener: TcpListener) {
    let began = start();
    let mut clients = JoinSet::new();
    loop {
        if let Ok((peer, _)) = listener.accept().await {
            // A client that goes away has been answered.
            clients.spawn(async move { drop(serve(program, peer, began).await) });
        } else {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        while clients.try_join_next().is_some() {}
    }
}

#[expect(clippy::disallowed_methods, reason = "a program has a clock")]
fn start() -> Instant {
    Instant::now()
}

async fn serve(program: Program, mut peer: TcpStream, began: Instant) -> std::io::Result<()> {
    let mut held = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let length = peer.read(&mut buffer).await?;
        if length == 0 || held.len() > REQUEST {
            return Ok(());
        }
        held.extend(buffer.get(..length).unwrap_or_default());
        let (end, ends): (&[u8], _) = match program {
            Program::Intan => (b";", false),
            Program::OpenEphys => (b"\r\n\r\n", true),
        };
        if !held.ends_with(end) {
            continue;
        }
        let asked = String::from_utf8_lossy(&held).into_owned();
        held.clear();
        let seconds = began.elapsed().as_secs_f64();
        let answer = match program {
            Program::Intan => intan(&asked, seconds),
            Program::OpenEphys => open_ephys(&asked, seconds),
        };
        peer.write_all(answer.as_bytes()).await?;
        if ends {
            return peer.shutdown().await;
        }
    }
}

/// Answers to commands, one behind the other.
fn intan(asked: &str, seconds: f64) -> String {
    let answer = |command: &str| match command.trim() {
        "" => String::new(),
        "get version" => "Return: Version 3.4.0".to_owned(),
        "get sampleratehertz" => format!("Return: SampleRateHertz {RATE}"),
        "get runmode" => "Return: RunMode Record".to_owned(),
        // Blocks of 128 samples.
        "get currenttimestamp" => {
            format!("Return: {}", (seconds * f64::from(RATE) / 128.0) as u64 * 128)
        }
        "get tcpwaveformdataoutputconnectionstatus" => {
            "Return: TCPWaveformDataOutputConnectionStatus Disconnected".to_owned()
        }
        _ => "Unrecognized parameter".to_owned(),
    };
    asked.split(';').map(answer).collect()
}

fn open_ephys(asked: &str, seconds: f64) -> String {
    let path = asked.strip_prefix("GET ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    // Slow waves, so that lines are not straight.
    let (usage, latency) = (0.3 + 0.08 * (seconds / 40.0).sin(), 9.0 + 2.0 * (seconds / 25.0).sin());
    let stream = "{\"name\":\"headstage\",\"source_id\":100,\"sample_rate\":30000.0,\"channel_count\":64,\"parameters\":[]}";
    let body = match path {
        "/api/status" => "{\"mode\":\"RECORD\"}".to_owned(),
        "/api/recording" => "{\"parent_directory\":\"/data\",\"record_nodes\":[{\"node_id\":102,\
             \"parent_directory\":\"/data\",\"record_engine\":\"BINARY\",\"experiment_number\":1,\
             \"recording_number\":1,\"is_synchronized\":true}]}"
            .to_owned(),
        "/api/cpu" => format!("{{\"usage\":{usage:.4}}}"),
        "/api/latency" => format!(
            "{{\"processors\":[{{\"id\":100,\"name\":\"Acquisition Board\",\"streams\":[{{\"name\":\"headstage\",\
             \"latency\":0.5}}]}},{{\"id\":102,\"name\":\"Record Node\",\"streams\":[{{\"name\":\"headstage\",\
             \"latency\":{latency:.3}}}]}}]}}"
        ),
        "/api/processors" => format!(
            "{{\"processors\":[{{\"id\":100,\"name\":\"Acquisition Board\",\"parameters\":[],\"predecessor\":null,\
             \"streams\":[{stream}]}},{{\"id\":102,\"name\":\"Record Node\",\"parameters\":[],\"predecessor\":100,\
             \"streams\":[{stream}]}}]}}"
        ),
        _ => return "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
    };
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::program::open_ephys::answers;

    #[test]
    fn what_the_agent_asks_is_answered() {
        let of = |path: &str| open_ephys(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"), 1.0);
        for path in answers::PATHS {
            let answer = of(path);
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(
                head.starts_with("HTTP/1.1 200") && head.contains(&format!("Length: {}\r\n", body.len()))
            );
            serde_json::from_str::<serde_json::Value>(body).unwrap();
        }
        assert!(of("/api/config").starts_with("HTTP/1.1 404"));
        let told = intan("get version;get sampleratehertz;get runmode;", 1.0);
        assert_eq!(told, "Return: Version 3.4.0Return: SampleRateHertz 20000Return: RunMode Record");
        assert_eq!(intan("get currenttimestamp;", 1.0), "Return: 19968");
        assert_eq!(intan("set runmode stop;", 1.0), "Unrecognized parameter");
    }
}
