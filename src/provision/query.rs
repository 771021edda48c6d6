//! Questions to a server that answers PromQL: the agent, Prometheus, Mimir, Thanos or VictoriaMetrics, by the HTTP API that all of
//! them have.

use serde_json::Value as Json;

use crate::alert::health::Verdict;
use crate::promql::{Element, Labels, Sample, Series, Value, When};
use crate::secret::Link;
use crate::view::Snapshot;

use super::Access;
use super::client::{self, Client, Request};

/// A server that is asked.
#[derive(Debug)]
pub struct Server(Client);

/// What it answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// What the expression is worth.
    pub value: Value,
    /// What the server says beside it: warnings, then infos.
    pub notes: Vec<String>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The expression or its times are wrong, in the server's words.
    Question(String),
    /// The server cannot be reached, or is not ready: another one may be asked in its place.
    Absent(String),
    /// The server has nothing at this path: another kind of server, or one that keeps no such thing.
    Missing(String),
    /// The server refuses to answer, or cannot answer this.
    Server(String),
}

impl Failure {
    /// Whatever it says, for people.
    #[must_use]
    pub fn why(&self) -> &str {
        let (Self::Question(why) | Self::Absent(why) | Self::Missing(why) | Self::Server(why)) = self;
        why
    }
}

impl Server {
    /// Reads secrets and certificates. Sends nothing. `tenant` is the header `X-Scope-OrgID` of Mimir and its kin.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn open(url: &Link, access: &Access, tenant: Option<&str>) -> Result<Self, String> {
        let mut client = Client::open(url, access)?;
        if let Some(tenant) = tenant {
            client.always("x-scope-orgid", tenant)?;
        }
        Ok(Self(client))
    }

    /// Where it is, as it may be printed.
    #[must_use]
    pub fn root(&self) -> &str {
        self.0.root()
    }

    /// Asks an agent how what it watches is, once, with objectives over this time: `30d`.
    ///
    /// # Errors
    /// What the server says, or why it says nothing.
    pub async fn health(&self, window: &str) -> Result<Verdict, Failure> {
        let path = format!("/api/v1/health?window={window}");
        let asked = self.0.try_once(&Request::get(path)).await;
        let answer = asked.map_err(|(why, _)| Failure::Absent(why))?;
        serde_json::from_slice(&answer.body).map_err(|_| {
            Failure::Server(format!("{} is no neural-exporter: it answers {}", answer.url, answer.describe()))
        })
    }

    /// Asks an agent what its page shows, once.
    ///
    /// # Errors
    /// What the server says, or why it says nothing.
    pub async fn snapshot(&self) -> Result<Snapshot, Failure> {
        let asked = self.0.try_once(&Request::get("/api/v1/snapshot")).await;
        let answer = asked.map_err(|(why, _)| Failure::Absent(why))?;
        serde_json::from_slice(&answer.body).map_err(|_| {
            Failure::Server(format!("{} is no neural-exporter: it answers {}", answer.url, answer.describe()))
        })
    }

    /// Asks what an expression is worth, once.
    ///
    /// # Errors
    /// What the server says, or why it says nothing.
    pub async fn ask(&self, expr: &str, when: When) -> Result<Answer, Failure> {
        let (path, form) = question(expr, when);
        let asked = self.0.try_once(&Request::post(path).form(form)).await;
        let answer = asked.map_err(
            |(why, absent)| {
                if absent { Failure::Absent(why) } else { Failure::Server(why) }
            },
        )?;
        read(&answer)
    }
}

impl Server {
    /// Asks an agent for something of its own API, or with a form to change something. Returns the data, and what it says beside it.
    ///
    /// # Errors
    /// What the agent says, or why it says nothing.
    pub async fn call(&self, path: &str, form: Option<String>) -> Result<(Json, Vec<String>), Failure> {
        let request = match form {
            Some(form) => Request::post(path).form(form),
            None => Request::get(path),
        };
        let asked = self.0.try_once(&request).await;
        let answer = asked.map_err(
            |(why, absent)| {
                if absent { Failure::Absent(why) } else { Failure::Server(why) }
            },
        )?;
        data(&answer)
    }

    /// Gives an agent a document to keep.
    ///
    /// # Errors
    /// What the agent says, or why it says nothing.
    pub async fn post_json(&self, path: &str, document: Vec<u8>) -> Result<Json, Failure> {
        self.change(&Request::post(path).json_text(document)).await
    }

    /// Has an agent remove something.
    ///
    /// # Errors
    /// What the agent says, or why it says nothing.
    pub async fn delete(&self, path: &str) -> Result<Json, Failure> {
        self.change(&Request::delete(path)).await
    }

    async fn change(&self, request: &Request<'_>) -> Result<Json, Failure> {
        let asked = self.0.try_once(request).await;
        let answer = asked.map_err(
            |(why, absent)| {
                if absent { Failure::Absent(why) } else { Failure::Server(why) }
            },
        )?;
        data(&answer).map(|(data, _)| data)
    }
}

/// The path and the form of a question.
fn question(expr: &str, when: When) -> (&'static str, String) {
    let seconds = |ms: i64| format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000));
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("query", expr);
    let path = match when {
        When::At(time) => {
            form.append_pair("time", &seconds(time));
            "/api/v1/query"
        }
        When::Range { start, end, step } => {
            form.append_pair("start", &seconds(start)).append_pair("end", &seconds(end));
            form.append_pair("step", &seconds(step));
            "/api/v1/query_range"
        }
    };
    (path, form.finish())
}

/// Reads an answer of the API.
fn read(answer: &client::Answer) -> Result<Answer, Failure> {
    let (data, notes) = data(answer)?;
    let value = value(&data).ok_or_else(|| unknown(answer))?;
    Ok(Answer { value, notes })
}

/// Why an answer is none of the API.
fn unknown(answer: &client::Answer) -> Failure {
    let (url, status) = (&answer.url, answer.status);
    match status {
        200..=299 => {
            let words = answer.words();
            Failure::Server(format!("{url}: it answers nothing that the API of Prometheus has: {words}"))
        }
        // A server that starts, and a proxy in front of one that is down, say so in words of their own.
        502..=504 => Failure::Absent(format!("{url} answers {}", answer.describe())),
        404 => Failure::Missing(format!("{url} answers {}", answer.describe())),
        _ => Failure::Server(format!("{url} answers {}", answer.describe())),
    }
}

/// The data of an answer, and what is said beside it.
fn data(answer: &client::Answer) -> Result<(Json, Vec<String>), Failure> {
    let (url, no) = (&answer.url, || unknown(answer));
    let json: Json = serde_json::from_slice(&answer.body).map_err(|_| no())?;
    let word = |name: &str| json.get(name).and_then(Json::as_str).unwrap_or_default();
    match word("status") {
        "success" => {}
        "error" if word("errorType") == "bad_data" => {
            return Err(Failure::Question(answer.veil(word("error").to_owned())));
        }
        "error" => {
            let why = answer.veil(format!("{url}: {}: {}", word("errorType"), word("error")));
            let absent = word("errorType") == "unavailable";
            return Err(match answer.status {
                _ if absent => Failure::Absent(why),
                404 => Failure::Missing(why),
                _ => Failure::Server(why),
            });
        }
        _ => return Err(no()),
    }
    let notes = ["warnings", "infos"].iter().filter_map(|name| json.get(name)?.as_array()).flatten();
    let notes = notes.filter_map(|note| note.as_str().map(str::to_owned)).collect();
    Ok((json.get("data").ok_or_else(no)?.clone(), notes))
}

fn value(data: &Json) -> Option<Value> {
    let result = data.get("result")?;
    Some(match data.get("resultType")?.as_str()? {
        "scalar" => Value::Scalar(sample(result)?.v),
        "string" => Value::Text(result.get(1)?.as_str()?.to_owned()),
        "vector" => Value::Vector(
            result
                .as_array()?
                .iter()
                .map(|one| Some(Element { labels: labels(one)?, value: sample(one.get("value")?)?.v }))
                .collect::<Option<_>>()?,
        ),
        "matrix" => Value::Matrix(
            result
                .as_array()?
                .iter()
                .map(|one| {
                    let samples = one.get("values")?.as_array()?.iter().map(sample).collect::<Option<_>>()?;
                    Some(Series { labels: labels(one)?, samples })
                })
                .collect::<Option<_>>()?,
        ),
        _ => return None,
    })
}

fn labels(one: &Json) -> Option<Labels> {
    let pairs = one.get("metric")?.as_object()?;
    Some(Labels::from_pairs(pairs.iter().filter_map(|(name, value)| Some((name, value.as_str()?)))))
}

fn sample(pair: &Json) -> Option<Sample> {
    let v = match pair.get(1)?.as_str()? {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        text => text.parse().ok()?,
    };
    Some(Sample { t: (pair.get(0)?.as_f64()? * 1000.0).round() as i64, v })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_answers_is_read() {
        let body = br#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[1.5,"1"],[2,"NaN"],[3,"+Inf"]]}]},"infos":["look"]}"#;
        let read = |status, body: &[u8]| {
            let (url, secrets) = ("http://lab/api".to_owned(), ["very-secret".to_owned()].into());
            read(&client::Answer { url, status, body: body.into(), secrets })
        };
        let answer = read(200, body).unwrap();
        let Value::Matrix(series) = &answer.value else { panic!("{answer:?}") };
        assert_eq!((series[0].labels.get("a"), series[0].samples[0]), ("b", Sample { t: 1500, v: 1.0 }));
        assert!(series[0].samples[1].v.is_nan() && series[0].samples[2].v == f64::INFINITY);
        assert_eq!(answer.notes, ["look"]);
        let wrong = br#"{"status":"error","errorType":"bad_data","error":"1:3: parse error"}"#;
        assert_eq!(read(400, wrong), Err(Failure::Question("1:3: parse error".into())));
        for body in [
            &b"<html>"[..],
            b"{}",
            b"[]",
            br#"{"status":"success","data":{"resultType":"vector","result":7}}"#,
        ] {
            assert!(matches!(read(200, body), Err(Failure::Server(_))), "{body:?}");
        }
        // Who is not ready is absent; who takes too long, or refuses, is there.
        let error =
            |kind: &str| format!("{{\"status\":\"error\",\"errorType\":\"{kind}\",\"error\":\"no\"}}");
        for (status, body, absent) in [
            (503, "Service Unavailable".to_owned(), true),
            (502, "<html>Bad Gateway</html>".to_owned(), true),
            (503, error("unavailable"), true),
            (503, error("timeout"), false),
            (401, "no tenant".to_owned(), false),
            (404, "404 page not found".to_owned(), false),
        ] {
            let read = read(status, body.as_bytes());
            assert_eq!(matches!(read, Err(Failure::Absent(_))), absent, "{status} {body}: {read:?}");
        }
        // That there is no such thing is its status, and nothing that it says.
        for (status, body, missing) in [
            (404, "404 page not found".to_owned(), true),
            (404, error("not_found"), true),
            (500, "http://lab:4040 failed with 404".to_owned(), false),
            (401, error("404"), false),
        ] {
            let read = read(status, body.as_bytes());
            assert_eq!(matches!(read, Err(Failure::Missing(_))), missing, "{status} {body}: {read:?}");
        }
        // What a server repeats of a secret is not shown.
        for body in [
            "very-secret is wrong".to_owned(),
            error("very-secret"),
            error("bad_data").replace("no", "very-secret"),
        ] {
            let why = read(400, body.as_bytes()).unwrap_err();
            assert!(why.why().contains("***") && !why.why().contains("very-secret"), "{why:?}");
        }
    }
}
