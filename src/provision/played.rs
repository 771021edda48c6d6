//! Servers that tests play: what is asked is noted, what is answered is said by the test.

use std::io::{Read, Write};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{How, Operation, Run};

/// What a server was asked, each as `POST /path`.
pub(super) type RequestLog = Arc<Mutex<Vec<String>>>;

/// A push to every target.
pub(super) fn run() -> Run {
    let (only, owner) = (Vec::new(), "neural".to_owned());
    let wait = std::time::Duration::from_secs(1);
    Run { operation: Operation::Apply, dry: false, only, how: How::default(), owner, wait }
}

/// A server that gives every request the same answer.
pub(super) fn server(status: &'static str, body: &'static str) -> String {
    serve(move |_, _| (status.to_owned(), body.to_owned())).0
}

/// A server that answers by the number of the request, from 0, and what is asked.
pub(super) fn script(answer: impl Fn(usize, &str) -> (u16, String) + Send + 'static) -> (String, RequestLog) {
    serve(move |number, asked| {
        let (status, body) = answer(number, asked);
        (format!("{status} Status"), body)
    })
}

fn serve(answer: impl Fn(usize, &str) -> (String, String) + Send + 'static) -> (String, RequestLog) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = RequestLog::default();
    let noted = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = [0; 4096];
            let length = stream.read(&mut head).unwrap_or_default();
            let head = String::from_utf8_lossy(&head[..length]).into_owned();
            let first = head.lines().next().unwrap_or_default();
            let line = first.rsplit_once(' ').map_or(first, |(asked, _)| asked).to_owned();
            let number = noted.lock().len();
            noted.lock().push(line.clone());
            let (status, body) = answer(number, &line);
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            drop(stream.write_all(format!("{head}{body}").as_bytes()));
        }
    });
    (url, asked)
}
