//! Every route: a row each.

use super::parts::*;
use super::{
    Benchmark, Content, Endpoint as Api, Former, Operation, Parameter, Route, Row, Verb, former, shapes,
};
use crate::alert::incident::Transition;
use crate::http::incident_path::Change as Incident;
use crate::http::reply::Form;

/// A label, for its values.
const LABEL: &[Parameter] = &[must("name", NAME, "The label."), MATCH, START, END, LIMIT];

/// Every route; the first that fits stands.
pub(in crate::http) static ROUTES: &[Row] = &[
    Row::api("/metrics", Route::Metrics, Form::Text, &[Operation::get(
        "metrics",
        "Everything that is measured, in the format that is accepted: OpenMetrics, or Prometheus' text.",
        &[
            kind("text/plain; version=0.0.4; charset=utf-8", shapes::text),
            kind("application/openmetrics-text; version=1.0.0; charset=utf-8", shapes::text),
        ],
    )])
    .open(),
    Row::api("/-/healthy", Route::Healthy, Form::Text, &[Operation::get(
        "healthy",
        "Whether the agent is up.",
        &[kind(TEXT, shapes::text)],
    )])
    .open(),
    Row::api("/-/ready", Route::Ready, Form::Text, &[Operation::get(
        "ready",
        "Whether every listener is bound.",
        &[kind(TEXT, shapes::text)],
    )])
    .open(),
    Row::api("/-/reload", Route::Reload, Form::Text, RELOAD),
    Row::page("/", Route::Landing),
    Row::page("/card", Route::Card),
    Row::page("/sources", Route::Sources),
    Row::page("/alert", Route::Alert),
    Row::page("/incident", Route::Incident),
    Row::page("/config", Route::Config),
    Row::page("/log", Route::Log),
    Row::page("/connect", Route::Connect),
    Row::page("/page.css", Route::Style),
    Row::page("/page.js", Route::Script),
    Row::page("/live", Route::Live),
    Row::page("/provision", Route::Files),
    Row::page("/provision/{file*}", Route::Files).under("/provision"),
    Row::page("/runbooks/{file*}", Route::Runbooks).under("/provision").open(),
    Row::api("/api/v1/sd", Route::Targets, Form::Text, &[Operation::get(
        "serviceDiscovery",
        "The agent as Prometheus discovers it (`http_sd_configs`): under the name by which it was asked.",
        &[json(shapes::targets)],
    )])
    .open(),
    Row::api("/api/v1/openapi.json", Route::OpenApi, Form::Problem, &[Operation::get(
        "openapi",
        "This document.",
        &[json(shapes::document)],
    )
    .fails(&[304])]),
    Row::api("/api/v1/preview", Route::Preview, Form::Text, &[Operation::get(
        "preview",
        "The extents of a device's signal in the last ten seconds, if the configuration shows them (`page.preview`).",
        &[json(shapes::preview)],
    )
    .asks(&[may("device", WORD, "Its name.")])
    .fails(&[404])]),
    Row::api("/api/v1/snapshot", Route::Snapshot, Form::Problem, &[Operation::get(
        "snapshot",
        "Everything that the page shows: the verdict, each component with its numbers, alerts, incidents.",
        &[json(shapes::snapshot)],
    )
    .fails(&[304])]),
    Row::api("/api/v1/devices", Route::Devices, Form::Problem, &[Operation::get(
        "devices",
        "Devices and streams, with their channels. What is not known is null.",
        &[json(shapes::devices)],
    )
    .asks(PAGE)]),
    Row::api("/api/v1/devices/{name}", Route::Device, Form::Problem, &[Operation::get(
        "device",
        "One device or stream, with its channels.",
        &[json(shapes::device)],
    )
    .asks(COMPONENT)
    .fails(&[404])])
    .under("/api/v1/devices"),
    Row::api("/api/v1/pipelines", Route::Pipelines, Form::Problem, &[Operation::get(
        "pipelines",
        "Pipelines, with their stages. What is not known is null.",
        &[json(shapes::pipelines)],
    )
    .asks(PAGE)]),
    Row::api("/api/v1/pipelines/{name}", Route::Pipeline, Form::Problem, &[Operation::get(
        "pipeline",
        "One pipeline, with its stages.",
        &[json(shapes::pipeline)],
    )
    .asks(COMPONENT)
    .fails(&[404])])
    .under("/api/v1/pipelines"),
    Row::api("/api/v1/realtime", Route::Realtime, Form::Problem, &[Operation::get(
        "realtime",
        "How everything is now, in a few numbers; each second, as server-sent events named `realtime`, for who accepts text/event-stream alone.",
        &[json(shapes::realtime), kind(EVENTS, shapes::text)],
    )]),
    Row::prometheus("/api/v1/query", Api::Query, question!(
        "query", "queryForm", "The value of an expression at a time.",
        &[QUERY, may("time", MOMENT, "When; now where nothing is said."), TIMEOUT, LOOKBACK, LIMIT],
        &[json(shapes::query)]
    )),
    Row::prometheus("/api/v1/query_range", Api::QueryRange, question!(
        "queryRange", "queryRangeForm", "The values of an expression over a time.",
        &[
            QUERY,
            must("start", MOMENT, "From when."),
            must("end", MOMENT, "Until when."),
            must("step", SPAN, "From one value to the next; 11,000 steps at most."),
            TIMEOUT, LOOKBACK, LIMIT,
        ],
        &[json(shapes::query)]
    )),
    Row::prometheus("/api/v1/series", Api::Series, question!(
        "series", "seriesForm", "The series that selectors select.",
        &[must("match[]", WORDS, "Selectors of series; what one of them selects counts."), START, END, LIMIT],
        &[json(shapes::series)]
    )),
    Row::prometheus("/api/v1/labels", Api::Labels, question!(
        "labels", "labelsForm", "The names of labels.", &[MATCH, START, END, LIMIT], &[json(shapes::words)]
    )),
    Row::prometheus("/api/v1/label/{name}/values", Api::Values, question!(
        "labelValues", "labelValuesForm", "The values of a label.", LABEL, &[json(shapes::words)]
    )),
    Row::prometheus("/api/v1/metadata", Api::Metadata, question!(
        "metadata", "metadataForm", "Type, help and unit of each metric.",
        &[may("metric", WORD, "This one alone."), LIMIT], &[json(shapes::metadata)]
    )),
    Row::prometheus("/api/v1/query_exemplars", Api::Exemplars, question!(
        "exemplars", "exemplarsForm", "The exemplars of the series that an expression reads.",
        &[QUERY, START, END], &[json(shapes::exemplars)]
    )),
    Row::prometheus("/api/v1/rules", Api::Rules, question!(
        "rules", "rulesForm", "The groups of rules that the agent evaluates.",
        &[
            may("type", r#"{"enum":["alert","record"]}"#, "Alerting or recording rules alone."),
            may("rule_name[]", WORDS, "Names of rules."),
            may("rule_group[]", WORDS, "Names of groups."),
            may("file[]", WORDS, "Files of rules."),
            may("exclude_alerts", WORD, "`true` leaves out the alerts."),
        ],
        &[json(shapes::rules)]
    )),
    Row::prometheus("/api/v1/alerts", Api::Alerts, question!(
        "alerts", "alertsForm", "The alerts that fire or wait.", &[], &[json(shapes::alerts)]
    )),
    Row::prometheus("/api/v1/format_query", Api::Format, question!(
        "formatQuery", "formatQueryForm", "An expression as people read it best.", &[QUERY], &[json(shapes::word)]
    )),
    Row::prometheus("/api/v1/status/buildinfo", Api::BuildInfo, question!(
        "buildInfo", "buildInfoForm", "The version of Prometheus whose API and language this is.", &[], &[json(shapes::object)]
    )),
    Row::prometheus("/api/v1/status/runtimeinfo", Api::RuntimeInfo, question!(
        "runtimeInfo", "runtimeInfoForm", "How the history is doing.", &[], &[json(shapes::object)]
    )),
    Row::prometheus("/api/v1/status/tsdb", Api::Tsdb, question!(
        "tsdb", "tsdbForm", "Which metrics and labels have the most series.", &[LIMIT], &[json(shapes::object)]
    )),
    Row::prometheus("/api/v1/health", Api::Health, question!(
        "health", "healthForm", "One verdict over everything that is watched; 503 unless things are known to work.",
        &[may("window", SPAN, "Over which time objectives are looked at; 30 days where nothing is said.")],
        &[json(shapes::health), Content { status: 503, kind: JSON, shape: shapes::health }]
    )),
    Row::prometheus("/api/v1/report", Api::Report, question!(
        "report", "reportForm", "A report of any time.",
        &[
            START, END,
            may("window", SPAN, "The time up to `end`, where there is no `start`; an hour where nothing is said."),
            may("session", WORD, "Of this session, instead of a time: its name, its id, or `last`."),
            may("device", WORD, "This device alone."),
            may("pipeline", WORD, "This pipeline alone."),
            may("format", r#"{"enum":["json","html","text","csv","md"]}"#, "Its form; JSON where nothing is said."),
            TIMEOUT,
        ],
        &[
            json(shapes::report),
            kind("text/html; charset=utf-8", shapes::text),
            kind(TEXT, shapes::text),
            kind("text/csv; charset=utf-8", shapes::text),
            kind("text/markdown; charset=utf-8", shapes::text),
        ]
    )),
    Row::api("/api/v1/incidents", Route::Incidents, Form::Prometheus, &[Operation::get(
        "incidents",
        "Incidents, the newest first.",
        &[json(shapes::incidents)],
    )
    .asks(WHICH)
    .fails(&[404])]),
    Row::api("/api/v1/incidents/stats", Route::Incidents, Form::Prometheus, &[Operation::get(
        "incidentStatistics",
        "How many incidents there were, and how long people took.",
        &[json(shapes::object)],
    )
    .asks(WHICH)
    .fails(&[404])])
    .under("/api/v1/incidents"),
    Row::api("/api/v1/incidents/{id}", Route::Incidents, Form::Prometheus, &[Operation::get(
        "incident",
        "One incident.",
        &[json(shapes::one_incident)],
    )
    .asks(&[ID])
    .fails(&[404, 409])])
    .under("/api/v1/incidents"),
    Row::api("/api/v1/incidents/{id}/ack", Route::IncidentChange(Incident::Transition(Transition::Acknowledge)), Form::Prometheus, ACKNOWLEDGE)
        .under("/api/v1/incidents"),
    Row::api("/api/v1/incidents/{id}/resolve", Route::IncidentChange(Incident::Transition(Transition::Resolve)), Form::Prometheus, RESOLVE)
        .under("/api/v1/incidents"),
    Row::api("/api/v1/incidents/{id}/silence", Route::IncidentChange(Incident::Silence), Form::Prometheus, SILENCE_INCIDENT)
        .under("/api/v1/incidents"),
    Row::api("/api/v1/alertmanager", Route::Webhook, Form::Text, WEBHOOK),
    Row::api("/api/v2/silences", Route::Silences, Form::Alertmanager, &[
        Operation::get("silences", "The silences that the agent keeps.", &[json(shapes::silences)]).fails(&[404]),
        Operation::change(Verb::Post, "createSilence", "Makes a silence, or changes one.", &[json(shapes::silence_id)])
            .body(JSON, shapes::new_silence)
            .fails(&[404]),
    ]),
    Row::api("/api/v2/silence/{id}", Route::Silence, Form::Alertmanager, &[
        Operation::get("silence", "One silence.", &[json(shapes::silence)]).asks(SILENCE_ID).fails(&[404]),
        Operation::change(Verb::Delete, "deleteSilence", "Ends a silence.", &[json(shapes::any_object)])
            .asks(SILENCE_ID)
            .fails(&[404]),
    ])
    .under("/api/v2/silences"),
    Row::api("/api/v1/benchmarks", Route::Benchmarks(Benchmark::List), Form::Prometheus, &[
        Operation::get("benchmarks", "The benchmarks that are kept.", &[json(shapes::benchmarks)]).fails(&[404, 503]),
        Operation::change(
            Verb::Post,
            "recordBenchmark",
            "Keeps the benchmark that is the body, or records one of the time that is asked for, unless something was wrong in it.",
            &[json(shapes::kept_benchmark)],
        )
        .asks(&[
            may("name", BENCHMARK_NAME, "Under which name, where there is no body."),
            may("window", SPAN, "The time up to `end`, where there is no `start`; an hour where nothing is said."),
            START, END,
            may("match", WORDS, "Of these lines alone: a label and its value, `device=cyton`."),
            may("note", WORD, "What it is about."),
            may("replace", WORD, "`true` replaces what has this name."),
            may("allow_bad", WORD, "`true` records it though something was wrong."),
        ])
        .body(JSON, shapes::benchmark)
        .fails(&[404, 409, 413, 422, 503]),
    ]),
    Row::api("/api/v1/benchmarks/{name}", Route::Benchmarks(Benchmark::One), Form::Prometheus, &[
        Operation::get("benchmark", "One benchmark.", &[json(shapes::one_benchmark)])
            .asks(BENCHMARK)
            .fails(&[404, 503]),
        Operation::change(Verb::Delete, "deleteBenchmark", "Removes a benchmark.", &[json(shapes::removed)])
            .asks(BENCHMARK)
            .fails(&[404, 503]),
    ])
    .under("/api/v1/benchmarks"),
    Row::api("/api/v1/benchmarks/{name}/compare", Route::Benchmarks(Benchmark::Compare), Form::Prometheus, &[
        Operation::get("compareBenchmark", "A time beside a benchmark.", &[json(shapes::comparison)])
            .asks(COMPARED)
            .fails(&[404, 422, 503]),
        Operation::form("compareBenchmarkForm", "A time beside a benchmark.", COMPARED, &[json(shapes::comparison)])
            .fails(&[404, 422, 503]),
    ])
    .under("/api/v1/benchmarks"),
    Row::api("/api/v1/regressions", Route::Regressions, Form::Prometheus, &[Operation::get(
        "regressions",
        "What was worse than the baselines that the configuration names.",
        &[json(shapes::regressions)],
    )
    .asks(&[may("hours", r#"{"type":"number","minimum":1,"maximum":168}"#, "Of the last so many hours; 24 where nothing is said.")])
    .fails(&[422, 503])]),
    Row::api("/api/v1/tasks", Route::Tasks, Form::Prometheus, &[Operation::get(
        "tasks",
        "What the agent does from time to time, and how that went.",
        &[json(shapes::tasks)],
    )]),
    Row::api("/api/v1/tasks/{name}/run", Route::TaskRun, Form::Prometheus, RUN_TASK).under("/api/v1/tasks"),
    Row::api("/api/performance/dashboard", Route::Former(Former::Dashboard), Form::Problem, &[Operation::get(
        "performanceDashboard",
        "The last hour of each figure: now, mean, least, greatest, and whether it rises.",
        &[json(former::dashboard)],
    )
    .fails(&[503])])
    .under(PERFORMANCE),
    Row::api("/api/performance/export/dashboard", Route::Former(Former::Export), Form::Problem, &[Operation::get(
        "performanceExport",
        "The same, to be kept.",
        &[json(former::dashboard)],
    )
    .fails(&[503])])
    .under(PERFORMANCE),
    Row::api("/api/performance/metrics", Route::Former(Former::Metrics), Form::Problem, &[
        Operation::get("performanceMetrics", "Samples of the last hours, the newest first.", &[json(former::metrics)])
            .asks(&[
                may("metric_name", WORD, "This metric alone; dots and dashes are underscores."),
                may("service_name", WORD, "This service, group of processes, pipeline, device, model or source alone."),
                may("hours", r#"{"type":"integer","minimum":1,"maximum":168}"#, "So many hours; 1 where nothing is said."),
                may("limit", r#"{"type":"integer","minimum":1,"maximum":10000}"#, "So many samples at most; 1,000 where nothing is said."),
            ])
            .fails(&[503]),
        Operation::local(
            "createPerformanceMetric",
            "Stores a metric, as a JSON line of the source `http` would be: from a program of this machine alone.",
            &[json(former::stored_metric)],
        )
        .body(JSON, former::new_metric)
        .fails(&[415]),
    ])
    .under(PERFORMANCE),
    Row::api("/api/performance/system", Route::Former(Former::System), Form::Problem, &[Operation::get(
        "performanceSystem",
        "How the machine is now.",
        &[json(former::system)],
    )])
    .under(PERFORMANCE),
    Row::api("/api/performance/services/{name}", Route::Former(Former::Service), Form::Problem, &[Operation::get(
        "performanceService",
        "How a group of processes is now, or a service that sends its requests.",
        &[json(former::service)],
    )
    .asks(COMPONENT)
    .fails(&[404])])
    .under(PERFORMANCE),
    Row::api("/api/performance/regressions", Route::Former(Former::Regressions), Form::Problem, &[Operation::get(
        "performanceRegressions",
        "What was worse than the baselines that the configuration names.",
        &[json(former::regressions)],
    )
    .asks(&[may("hours", r#"{"type":"integer","minimum":1,"maximum":168}"#, "Of the last so many hours; 24 where nothing is said.")])
    .fails(&[422, 503])])
    .under(PERFORMANCE),
    Row::api("/api/performance/benchmarks", Route::Former(Former::Benchmarks), Form::Problem, &[
        Operation::get("performanceBenchmarks", "The benchmarks that are kept.", &[json(former::benchmarks)]).fails(&[503]),
        Operation::local(
            "createPerformanceBenchmark",
            "Records the last minutes; not where something was wrong in them, and in the place of what has the name only if `replace` says so. From this machine alone.",
            &[json(shapes::one_benchmark)],
        )
        .body(JSON, former::recorded)
        .fails(&[409, 415, 422, 503]),
    ])
    .under(PERFORMANCE),
    Row::api("/api/performance/benchmarks/{name}", Route::Former(Former::Benchmark), Form::Problem, &[Operation::get(
        "performanceBenchmark",
        "One benchmark.",
        &[json(shapes::one_benchmark)],
    )
    .asks(BENCHMARK)
    .fails(&[404, 503])])
    .under(PERFORMANCE),
    Row::api("/api/performance/benchmarks/{name}/compare", Route::Former(Former::Compare), Form::Problem, &[Operation::change(
        Verb::Post,
        "comparePerformanceBenchmark",
        "The last minutes beside a benchmark.",
        &[json(former::comparison)],
    )
    .asks(BENCHMARK)
    .body(JSON, former::compared)
    .fails(&[404, 415, 422, 503])])
    .under(PERFORMANCE),
    Row::api("/api/performance/prometheus", Route::Former(Former::Prometheus), Form::Text, &[Operation::get(
        "performancePrometheus",
        "The same as `/metrics`.",
        METRICS,
    )])
    .under(PERFORMANCE),
    Row::api("/api/performance/health", Route::Former(Former::Health), Form::Problem, &[Operation::get(
        "performanceHealth",
        "Whether the history is taken, and when it was the last time.",
        &[json(former::health)],
    )
    .fails(&[503])])
    .under(PERFORMANCE),
    Row::api("/api/performance/cleanup", Route::Former(Former::Cleanup), Form::Problem, &[Operation::local(
        "performanceCleanup",
        "Removes what the history's file has of more than so many days ago: for a program of this machine alone.",
        &[json(former::cleaned)],
    )
    .asks(&[may("retention_days", r#"{"type":"integer","minimum":1,"maximum":365}"#, "Days that are kept; 30 where nothing is said.")])
    .fails(&[503])])
    .under(PERFORMANCE),
    Row::api("/api/metrics/realtime", Route::Former(Former::Realtime), Form::Problem, &[Operation::get(
        "metricsRealtime",
        "How the pipelines are now: runs a minute, milliseconds, percent.",
        &[json(former::realtime)],
    )])
    .under(FORMER),
    Row::api("/api/metrics/report", Route::Former(Former::Report), Form::Problem, &[Operation::get(
        "metricsReport",
        "A report of the last minutes: milliseconds, percent.",
        &[json(former::report)],
    )
    .asks(&[may("window", r#"{"type":"integer","minimum":1,"maximum":10080}"#, "So many minutes; 60 where nothing is said.")])
    .fails(&[503])])
    .under(FORMER),
    Row::api("/api/metrics/issues", Route::Former(Former::Issues), Form::Problem, &[Operation::get(
        "metricsIssues",
        "What is wrong now, and what to do.",
        &[json(former::issues)],
    )])
    .under(FORMER),
    Row::api("/api/v1/sessions", Route::Sessions, Form::Prometheus, &[
        Operation::get("sessions", "Sessions, the newest first; `next` is what `before` asks the next page with.", &[json(shapes::sessions)])
            .asks(SESSIONS)
            .fails(&[404]),
        Operation::change(Verb::Post, "startSession", "Begins a session by hand.", &[json(shapes::session)])
            .asks(&[must("name", NAME, "What it is called; one of BIDS names its report so.")])
            .fails(&[404, 409]),
    ]),
    Row::api("/api/v1/sessions/{name}", Route::Session, Form::Prometheus, &[Operation::get(
        "session",
        "One session: by its id, the newest of a name, or `last`, the one that ended last.",
        &[json(shapes::session)],
    )
    .asks(SESSION)
    .fails(&[404])])
    .under("/api/v1/sessions"),
    Row::api("/api/v1/sessions/{name}/stop", Route::SessionStop, Form::Prometheus, STOP_SESSION).under("/api/v1/sessions"),
    Row::api("/api/v1/report/schema", Route::ReportSchema, Form::Problem, &[Operation::get(
        "reportSchema",
        "The JSON Schema of a report.",
        &[json(shapes::any_object)],
    )]),
];

const COMPARED: &[Parameter] = &[
    must("name", BENCHMARK_NAME, "Its name."),
    may(
        "window",
        SPAN,
        "The time up to `end`, where there is no `start`; half an hour where nothing is said.",
    ),
    START,
    END,
];
const BENCHMARK: &[Parameter] = &[must("name", BENCHMARK_NAME, "Its name.")];
const PERFORMANCE: &str = "/api/performance";
const FORMER: &str = "/api/metrics";
const METRICS: &[Content] = &[
    kind("text/plain; version=0.0.4; charset=utf-8", shapes::text),
    kind("application/openmetrics-text; version=1.0.0; charset=utf-8", shapes::text),
];

/// A part of a long list.
const PAGE: &[Parameter] = &[
    may(
        "limit",
        r#"{"type":"integer","minimum":1,"maximum":1000}"#,
        "So many at most; 100 where nothing is said.",
    ),
    may("offset", r#"{"type":"integer","minimum":0,"maximum":4294967295}"#, "After so many."),
];
const COMPONENT: &[Parameter] = &[must("name", NAME, "Its name.")];

const SILENCE_ID: &[Parameter] = &[must("id", NAME, "Its name.")];
const SESSION: &[Parameter] = &[must("name", NAME, "Its name, its id, or `last`.")];
/// What is asked of sessions.
const SESSIONS: &[Parameter] = &[
    may("state", r#"{"type":"array","items":{"enum":["open","ended","failed","lost"]}}"#, "Their states."),
    may(
        "origin",
        r#"{"type":"array","items":{"enum":["event","program","stream","hand"]}}"#,
        "Who says when they begin and end.",
    ),
    may("name", WORD, "Those of this name."),
    may("before", WORD, "Those before this one: `next` of the page before."),
    may(
        "limit",
        r#"{"type":"integer","minimum":1,"maximum":1000}"#,
        "So many at most; 100 where nothing is said.",
    ),
];
const TASK: &[Parameter] = &[must("name", NAME, "Its name.")];

/// Something that is changed by POST, and by PUT for those who are used to that.
macro_rules! change {
    ($post:literal, $put:literal, $about:literal, $gives:expr, $asks:expr, $fails:expr) => {
        &[
            Operation::change(Verb::Post, $post, $about, $gives).asks($asks).fails($fails),
            Operation::change(Verb::Put, $put, $about, $gives).asks($asks).fails($fails),
        ]
    };
}

const RELOAD: &[Operation] = change!(
    "reload",
    "reloadPut",
    "Reads the configuration again; if anything is wrong, the old one stays in effect.",
    &[kind(TEXT, shapes::text)],
    &[],
    &[500, 503]
);
const ACKNOWLEDGE: &[Operation] = change!(
    "acknowledgeIncident",
    "acknowledgeIncidentPut",
    "Acknowledges an incident: it is being looked after.",
    &[json(shapes::one_incident)],
    WHO,
    &[303, 404, 409]
);
const RESOLVE: &[Operation] = change!(
    "resolveIncident",
    "resolveIncidentPut",
    "Closes an incident.",
    &[json(shapes::one_incident)],
    WHO,
    &[303, 404, 409]
);
const SILENCE_INCIDENT: &[Operation] = change!(
    "silenceIncident",
    "silenceIncidentPut",
    "Silences the alert of an incident for a while.",
    &[json(shapes::incident_silence)],
    SILENCE_FOR,
    &[303, 404, 409]
);
const STOP_SESSION: &[Operation] = change!(
    "stopSession",
    "stopSessionPut",
    "Ends a session that was begun by hand; `-` is the only one.",
    &[json(shapes::session)],
    &[must("name", NAME, "Its name or id; `-` where one alone is open.")],
    &[404, 409]
);
const RUN_TASK: &[Operation] =
    change!("runTask", "runTaskPut", "Has a task done now.", &[json(shapes::begun)], TASK, &[404, 409, 503]);
const WEBHOOK: &[Operation] = &[
    Operation::change(
        Verb::Post,
        "alertmanagerWebhook",
        "Takes a message of an Alertmanager's webhook, version 4.",
        TAKEN,
    )
    .body(JSON, shapes::message)
    .fails(&[401, 404, 413, 503]),
    Operation::change(Verb::Put, "alertmanagerWebhookPut", "The same.", TAKEN)
        .body(JSON, shapes::message)
        .fails(&[401, 404, 413, 503]),
];
const TAKEN: &[Content] = &[kind(TEXT, shapes::text)];
