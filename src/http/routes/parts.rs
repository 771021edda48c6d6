//! What rows are written with: parameters, kinds of content, and how operations and rows are put together.

use super::Effect::{Change, LocalChange, Question, Read};
use super::{
    Access, Content, Effect, Endpoint as Api, Operation, Parameter, Route, Row, Shape, Verb, shapes,
};
use crate::http::reply::Form;

pub(super) const JSON: &str = "application/json";
pub(super) const EVENTS: &str = "text/event-stream";
pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// A time, as it is asked for. What is empty is not said.
pub(super) const MOMENT: &str =
    r#"{"anyOf":[{"type":"number"},{"type":"string","format":"date-time"},{"const":""}]}"#;
/// A duration in seconds, or as in PromQL.
pub(super) const SPAN: &str =
    r#"{"anyOf":[{"type":"number"},{"type":"string","pattern":"^([0-9]+(ms|[smhdwy]))+$"},{"const":""}]}"#;
pub(super) const WORD: &str = r#"{"type":"string"}"#;
pub(super) const NAME: &str = r#"{"type":"string","minLength":1}"#;
pub(super) const WORDS: &str = r#"{"type":"array","items":{"type":"string"}}"#;
pub(super) const COUNT: &str = r#"{"type":"integer","minimum":0}"#;
pub(super) const BENCHMARK_NAME: &str =
    r#"{"type":"string","pattern":"^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}$"}"#;
pub(super) const HEX: &str = r#"{"type":"string","pattern":"^[0-9a-fA-F]{1,16}$"}"#;

pub(super) const fn may(name: &'static str, schema: &'static str, about: &'static str) -> Parameter {
    Parameter { name, about, schema, required: false }
}

pub(super) const fn must(name: &'static str, schema: &'static str, about: &'static str) -> Parameter {
    Parameter { name, about, schema, required: true }
}

pub(super) const QUERY: Parameter = must("query", NAME, "An expression in PromQL.");
pub(super) const TIMEOUT: Parameter = may("timeout", SPAN, "Seconds that it may take; 60 at most.");
pub(super) const LOOKBACK: Parameter =
    may("lookback_delta", SPAN, "How old a sample may be, in seconds; 300 where nothing is said.");
pub(super) const LIMIT: Parameter = may("limit", COUNT, "Results at most; 0 is all of them.");
pub(super) const START: Parameter = may("start", MOMENT, "From when: seconds since the epoch, or RFC 3339.");
pub(super) const END: Parameter = may("end", MOMENT, "Until when: seconds since the epoch, or RFC 3339.");
pub(super) const MATCH: Parameter =
    may("match[]", WORDS, "Selectors of series; what one of them selects counts.");
pub(super) const ID: Parameter = must("id", HEX, "Its number, or the beginning of it.");

/// What is asked of incidents.
pub(super) const WHICH: &[Parameter] = &[
    may(
        "state",
        r#"{"type":"array","items":{"enum":["open","escalated","acknowledged","resolved"]}}"#,
        "Their states.",
    ),
    may("alert", WORDS, "Their alerts."),
    may("severity", WORDS, "Their severities."),
    may("priority", r#"{"type":"array","items":{"enum":["P0","P1","P2","P3"]}}"#, "Their priorities."),
    may("from", MOMENT, "Those that began at this time or later."),
    may("to", MOMENT, "Those that began before this time."),
    may("limit", COUNT, "So many at most, the newest; 100 where nothing is said, 0 is all."),
];
/// What is said of a change of an incident.
pub(super) const WHO: &[Parameter] = &[
    ID,
    may("by", WORD, "Who does it."),
    may("why", WORD, "Why."),
    may("back", WORD, "For a form of a page: where it leads back to."),
];
pub(super) const SILENCE_FOR: &[Parameter] = &[
    ID,
    may("by", WORD, "Who does it."),
    may("why", WORD, "Why."),
    may("for", WORD, "For how long: `2h`."),
    may("back", WORD, "For a form of a page: where it leads back to."),
];

/// An answer of JSON.
pub(super) const fn json(shape: Shape) -> Content {
    Content { status: 200, kind: JSON, shape }
}

pub(super) const fn kind(kind: &'static str, shape: Shape) -> Content {
    Content { status: 200, kind, shape }
}

impl Operation {
    pub(super) const fn new(
        verb: Verb,
        effect: Effect,
        name: &'static str,
        about: &'static str,
        gives: &'static [Content],
    ) -> Self {
        Self { verb, effect, name, about, asks: &[], body: None, gives, fails: &[] }
    }

    pub(super) const fn get(name: &'static str, about: &'static str, gives: &'static [Content]) -> Self {
        Self::new(Verb::Get, Read, name, about, gives)
    }

    /// The same question as a form.
    pub(super) const fn form(
        name: &'static str,
        about: &'static str,
        asks: &'static [Parameter],
        gives: &'static [Content],
    ) -> Self {
        Self {
            asks,
            body: Some(kind(FORM, shapes::any_object)),
            ..Self::new(Verb::Post, Question, name, about, gives)
        }
    }

    pub(super) const fn change(
        verb: Verb,
        name: &'static str,
        about: &'static str,
        gives: &'static [Content],
    ) -> Self {
        Self::new(verb, Change, name, about, gives)
    }

    pub(super) const fn local(name: &'static str, about: &'static str, gives: &'static [Content]) -> Self {
        Self::new(Verb::Post, LocalChange, name, about, gives)
    }

    pub(super) const fn asks(self, asks: &'static [Parameter]) -> Self {
        Self { asks, ..self }
    }

    pub(super) const fn body(self, kind: &'static str, shape: Shape) -> Self {
        Self { body: Some(Content { status: 200, kind, shape }), ..self }
    }

    pub(super) const fn fails(self, fails: &'static [u16]) -> Self {
        Self { fails, ..self }
    }
}

impl Row {
    /// A page or a file for people.
    pub(super) const fn page(path: &'static str, route: Route) -> Self {
        const LOOK: &[Operation] = &[Operation::get("", "", &[])];
        Self {
            path,
            route,
            label: path,
            access: Access::Page,
            form: Form::Text,
            documented: false,
            operations: LOOK,
        }
    }

    /// A path of the API.
    pub(super) const fn api(
        path: &'static str,
        route: Route,
        form: Form,
        operations: &'static [Operation],
    ) -> Self {
        Self { path, route, label: path, access: Access::Page, form, documented: true, operations }
    }

    pub(super) const fn under(self, label: &'static str) -> Self {
        Self { label, ..self }
    }

    pub(super) const fn open(self) -> Self {
        Self { access: Access::Open, ..self }
    }

    /// A path of Prometheus' API that is read.
    pub(super) const fn prometheus(
        path: &'static str,
        endpoint: Api,
        operations: &'static [Operation],
    ) -> Self {
        Self::api(path, Route::Api(endpoint), Form::Prometheus, operations).under("/api/v1")
    }
}

/// A question that comes as a query or as a form.
macro_rules! question {
    ($get:literal, $post:literal, $about:literal, $asks:expr, $gives:expr) => {{
        const BOTH: &[Operation] = &[
            Operation::get($get, $about, $gives).asks($asks).fails(&[422, 503]),
            Operation::form($post, $about, $asks, $gives).fails(&[422, 503]),
        ];
        BOTH
    }};
}

pub(super) use question;
