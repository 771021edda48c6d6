//! What runs the files: a configuration of Prometheus, targets as a file, and a stack for Docker Compose.
//!
//! Data sources and dashboards of Grafana are mounted from where they are generated; they are not made here.

use super::{File, GENERATED, Prometheus, Settings};

pub(super) fn render(settings: &Settings, files: &mut Vec<File>) {
    let mut add = |path: &str, text: String| files.push(File { path: format!("provisioning/{path}"), text });
    add(
        "prometheus/prometheus.yml",
        prometheus(settings, "../../alert-rules", "file_sd/*.json", "127.0.0.1:9093"),
    );
    add("prometheus/file_sd/neural.json", targets(settings));
    add("compose/compose.yml", format!("# {GENERATED}\n{COMPOSE}"));
    add("compose/Dockerfile", format!("# {GENERATED}\n{DOCKERFILE}"));
    add("compose/neural-exporter.yml", format!("# {GENERATED}\n{AGENT}"));
    add("compose/prometheus.yml", prometheus(settings, "/etc/prometheus/rules", "", "alertmanager:9093"));
    add("README.md", format!("<!-- {GENERATED} -->\n\n{README}"));
}

/// Scrapes the agents, evaluates the rules, tells Alertmanager.
fn prometheus(settings: &Settings, rules: &str, sd: &str, alertmanager: &str) -> String {
    let job = &settings.alerts.job;
    let job = serde_json::to_string(job).unwrap_or_default();
    let found = if sd.is_empty() {
        "    static_configs:\n      - targets: ['agent:9612']\n".to_owned()
    } else {
        format!(
            "    # Read again when it changes, without a reload. One that is broken is ignored silently, except for\n    \
             # prometheus_sd_file_read_errors_total.\n    file_sd_configs:\n      - files: ['{sd}']\n"
        )
    };
    let fallback = match settings.alerts.prometheus {
        Prometheus::From2_42 => "",
        Prometheus::From3 => "    fallback_scrape_protocol: PrometheusText0.0.4\n",
    };
    format!(
        "# {GENERATED}\n\
         global:\n  scrape_interval: 15s\n  evaluation_interval: 15s\n\
         rule_files: ['{rules}/*.yml']\n\
         alerting:\n  alertmanagers:\n    - static_configs:\n        - targets: ['{alertmanager}']\n\
         scrape_configs:\n  - job_name: {job}\n    \
         # Stages and queues move fast; the agent answers in about a millisecond.\n    \
         scrape_interval: 5s\n    scrape_timeout: 4s\n{fallback}    sample_limit: 200000\n{found}  \
         # Its own metrics: the alerts on rules and delivery need them.\n  \
         - job_name: prometheus\n    static_configs:\n      - targets: ['localhost:9090']\n"
    )
}

fn targets(settings: &Settings) -> String {
    let mut labels = serde_json::json!({ "site": "lab" });
    if settings.tls {
        labels["__scheme__"] = "https".into();
    }
    let value = serde_json::json!([{ "labels": labels, "targets": settings.targets }]);
    let mut text = serde_json::to_string_pretty(&value).unwrap_or_default();
    text.push('\n');
    text
}

const COMPOSE: &str = r"# The whole stack on one machine: docker compose up -d, in this folder. Grafana is at http://127.0.0.1:3000 and
# asks for a password that it takes from secrets/grafana; make that file first.
services:
  agent:
    build:
      context: ../..
      dockerfile: provisioning/compose/Dockerfile
    restart: unless-stopped
    read_only: true
    cap_drop: [ALL]
    security_opt: ['no-new-privileges:true']
    volumes:
      - ./neural-exporter.yml:/etc/neural-exporter/config.yml:ro
      - agent:/var/lib/neural-exporter
    # A board on a serial port: name the port, and the group that may open it.
    # devices: ['/dev/serial/by-id/usb-FTDI_FT231X_USB_UART-if00-port0:/dev/board']
    # group_add: [dialout]
    ports: ['127.0.0.1:9612:9612', '127.0.0.1:8125:8125/udp', '127.0.0.1:9613:9613']

  prometheus:
    image: prom/prometheus:v3.14.0
    restart: unless-stopped
    command:
      - --config.file=/etc/prometheus/prometheus.yml
      - --storage.tsdb.path=/prometheus
      - --storage.tsdb.retention.time=35d
      - --enable-feature=exemplar-storage
      - --web.enable-lifecycle
    volumes:
      - ./prometheus.yml:/etc/prometheus/prometheus.yml:ro
      - ../../alert-rules:/etc/prometheus/rules:ro
      - prometheus:/prometheus
    ports: ['127.0.0.1:9090:9090']

  alertmanager:
    image: prom/alertmanager:v0.34.0
    restart: unless-stopped
    command:
      - --config.file=/etc/alertmanager/alertmanager.yml
      - --storage.path=/alertmanager
    volumes:
      - ../alertmanager/alertmanager.yml:/etc/alertmanager/alertmanager.yml:ro
      - ./secrets:/etc/alertmanager/secrets:ro
      - alertmanager:/alertmanager
    ports: ['127.0.0.1:9093:9093']

  grafana:
    image: grafana/grafana:13.0.0
    restart: unless-stopped
    environment:
      GF_SECURITY_ADMIN_PASSWORD__FILE: /run/secrets/grafana
      GF_ANALYTICS_REPORTING_ENABLED: 'false'
    secrets: [grafana]
    volumes:
      - ../grafana:/etc/grafana/provisioning:ro
      - ../../dashboards:/var/lib/grafana/dashboards/neural:ro
      - grafana:/var/lib/grafana
    ports: ['127.0.0.1:3000:3000']

secrets:
  grafana:
    file: ./secrets/grafana

volumes:
  agent: {}
  prometheus: {}
  alertmanager: {}
  grafana: {}
";

const DOCKERFILE: &str = "\
FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
COPY . .
RUN cargo build --profile dist --locked

FROM debian:bookworm-slim
RUN useradd --system --no-create-home neural && install -d -o neural /run/neural-exporter /var/lib/neural-exporter
COPY --from=build /build/target/dist/neural-exporter /usr/local/bin/neural-exporter
USER neural
ENV STATE_DIRECTORY=/var/lib/neural-exporter
EXPOSE 9612 9613 8125/udp
ENTRYPOINT [\"/usr/local/bin/neural-exporter\"]
CMD [\"run\", \"--config\", \"/etc/neural-exporter/config.yml\"]
";

const AGENT: &str = "\
listen: 0.0.0.0:9612 # inside the stack's own network; compose publishes it on loopback alone
sources:
  - jsonl: {name: pipeline, listen: ['tcp://0.0.0.0:9613']}
  - statsd: {name: statsd, listen: ['udp://0.0.0.0:8125']}
  # - serial: {name: cyton, port: /dev/board, baud: 115200, protocol: cyton}
";

const README: &str = "\
# Provisioning

Files for the programs around the agent, written by `neural-exporter generate`.

| folder | what for |
|---|---|
| `prometheus/` | `prometheus.yml` scrapes the agents in `file_sd/neural.json` and evaluates `../alert-rules/*.yml` |
| `alertmanager/` | `alertmanager.yml` is complete and notifies `alerts.receivers`; `fragment.yml` is for merging into your own file; `example.yml` has one receiver of each kind |
| `../alert-rules/loki/` | rules over the agent's log, for Loki's ruler: a target `loki:` of `provision`, or its rule folder |
| `grafana/` | a data source and the place of the dashboards for Grafana: mount it as `/etc/grafana/provisioning`, and `../dashboards` as `/var/lib/grafana/dashboards/neural` |
| `compose/` | the agent, Prometheus, Alertmanager and Grafana on one machine: `docker compose up -d` |
| `kubernetes/` | the agent on every node, or one of it, and objects for the Prometheus operator: `neural-exporter generate`, which writes the rules for it, then `kubectl apply --server-side -k .` |
| `helm/` | values for kube-prometheus-stack, so that it finds them |

Without `alerts.receivers` nobody is notified; alerts are shown on Alertmanager's page only.

Into an Alertmanager that serves others too, put the parts of `fragment.yml`: the tree under `route` as one more item of
your root's `routes`, and the items of `inhibit_rules`, `time_intervals` and `receivers` to yours. All its names begin
with `neural-`, and it touches only alerts whose names begin with `Neural`.
";
