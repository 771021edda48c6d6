//! Manifests for Kubernetes: the agent on every node or as one, and objects for the Prometheus operator.

use std::fmt::Write;

use serde::Serialize;

use super::dashboard::FOLDER;
use super::{File, GENERATED, RULES_OF_OPERATOR, Settings, yaml};
use crate::catalog::Page;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PrometheusRule {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    spec: Spec,
}

#[derive(Serialize)]
struct Spec {
    groups: [(); 0],
}

#[derive(Serialize)]
struct Metadata {
    name: &'static str,
    namespace: &'static str,
    labels: std::collections::BTreeMap<&'static str, &'static str>,
}

pub(super) fn render(pages: &[&Page], settings: &Settings, files: &mut Vec<File>) {
    let groups = groups(pages, files);
    let labels = [("app.kubernetes.io/name", "neural-exporter"), ("role", "alert-rules")].into();
    let rule = PrometheusRule {
        api_version: "monitoring.coreos.com/v1",
        kind: "PrometheusRule",
        metadata: Metadata { name: "neural-exporter", namespace: "neural", labels },
        spec: Spec { groups: [] },
    };
    let mut text = yaml(&rule);
    if let Some(head) = text.strip_suffix(" []\n").filter(|_| !groups.is_empty()) {
        text = format!("{head}\n{groups}");
    }
    files.push(File { path: RULES_OF_OPERATOR.to_owned(), text });
    let mut add = |path: &str, text: String| files.push(File { path: format!("provisioning/{path}"), text });
    let job = serde_json::to_string(&settings.alerts.job).unwrap_or_default();
    let texts = [
        ("kubernetes/namespace.yml", NAMESPACE.to_owned()),
        ("kubernetes/configmap.yml", CONFIGMAP.to_owned()),
        ("kubernetes/daemonset.yml", workload("DaemonSet", DEVICES) + &service(LOCAL)),
        ("kubernetes/deployment.yml", workload("Deployment", "") + &service("")),
        ("kubernetes/servicemonitor.yml", MONITOR.replace("JOB", &job)),
        ("kubernetes/kustomization.yml", KUSTOMIZATION.to_owned()),
        ("helm/kube-prometheus-stack-values.yml", HELM.to_owned()),
    ];
    for (path, text) in texts {
        add(path, format!("# {GENERATED}\n{text}"));
    }
    let text = boards(files);
    files.push(File { path: format!("{FOLDER}/kustomization.yml"), text });
}

/// What makes a `ConfigMap` of each dashboard, labelled for the sidecar of Grafana. It lies beside them, because kustomize
/// reads no file of a folder above its own; Grafana's file provider reads JSON alone.
fn boards(files: &[File]) -> String {
    let boards = files.iter().filter_map(|file| file.path.strip_prefix(FOLDER)?.strip_prefix('/'));
    let mut text = format!("# {GENERATED}\n{BOARDS}");
    for name in boards.filter_map(|path| path.strip_suffix(".json")) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  - {{name: neural-dashboard-{name}, files: [{name}.json]}}");
    }
    text
}

/// The groups of every file of rules as they stand there, one step further from the margin.
fn groups(pages: &[&Page], files: &[File]) -> String {
    let mut groups = String::new();
    for page in pages {
        let path = format!("alert-rules/{}.yml", page.id);
        let text = files.iter().find(|file| file.path == path).map_or("", |file| &file.text);
        let inside = text.split_once("\ngroups:\n").map_or("", |(_, inside)| inside);
        for line in inside.lines() {
            groups.push_str(if line.is_empty() { "" } else { "  " });
            groups.push_str(line);
            groups.push('\n');
        }
    }
    groups
}

/// The agent, on every node or once.
fn workload(kind: &str, devices: &str) -> String {
    let (replicas, about) = if kind == "Deployment" {
        (
            "  replicas: 1\n",
            "# One agent for pipelines that send over the network. Instead of the DaemonSet, not beside it.\n",
        )
    } else {
        ("", "# One agent a node, beside the devices that are plugged into it.\n")
    };
    format!(
        "{about}apiVersion: apps/v1\nkind: {kind}\nmetadata:\n  name: neural-exporter\n  namespace: neural\n  \
         labels: {{app.kubernetes.io/name: neural-exporter}}\nspec:\n{replicas}{WORKLOAD}{devices}"
    )
    .replace("VERSION", env!("CARGO_PKG_VERSION"))
}

const WORKLOAD: &str = "  \
  selector:
    matchLabels: {app.kubernetes.io/name: neural-exporter}
  template:
    metadata:
      labels: {app.kubernetes.io/name: neural-exporter}
    spec:
      automountServiceAccountToken: false
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        runAsGroup: 65532
        seccompProfile: {type: RuntimeDefault}
      containers:
        - name: agent
          image: neural-exporter:VERSION
          args: [run, --config, /etc/neural-exporter/config.yml]
          ports:
            - {name: metrics, containerPort: 9612}
            - {name: events, containerPort: 9613}
            - {name: statsd, containerPort: 8125, protocol: UDP}
          env:
            - {name: STATE_DIRECTORY, value: /var/lib/neural-exporter}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {drop: [ALL]}
          resources:
            requests: {cpu: 10m, memory: 32Mi}
            limits: {memory: 256Mi} # above what NeuralAgentMemory warns of
          readinessProbe:
            httpGet: {path: /-/ready, port: metrics}
            periodSeconds: 10
          volumeMounts:
            - {name: config, mountPath: /etc/neural-exporter, readOnly: true}
            - {name: state, mountPath: /var/lib/neural-exporter}
      volumes:
        - name: config
          configMap: {name: neural-exporter}
        - name: state
          emptyDir: {}
";

/// What a comment says about boards; a node's devices need rights that only its owner can give.
const DEVICES: &str = "      \
      # A board on a serial port of the node: give the pod the group that owns it (supplementalGroups: [20] is
      # dialout on Debian), and the port itself through a device plug-in; a hostPath alone is not allowed to be opened.
";

const NAMESPACE: &str = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: neural\n";

const CONFIGMAP: &str = "\
apiVersion: v1
kind: ConfigMap
metadata:
  name: neural-exporter
  namespace: neural
  labels: {app.kubernetes.io/name: neural-exporter}
data:
  config.yml: |
    listen: 0.0.0.0:9612
    sources:
      - jsonl: {name: pipeline, listen: ['tcp://0.0.0.0:9613']}
      - statsd: {name: statsd, listen: ['udp://0.0.0.0:8125']}
";

/// One stands with each workload: which pods a request may go to is not the same for both.
fn service(policy: &str) -> String {
    SERVICE.replace("POLICY\n", policy)
}

const LOCAL: &str = "  # Pipelines reach the agent of their own node.\n  internalTrafficPolicy: Local\n";

const SERVICE: &str = "\
---
apiVersion: v1
kind: Service
metadata:
  name: neural-exporter
  namespace: neural
  labels: {app.kubernetes.io/name: neural-exporter}
spec:
  selector: {app.kubernetes.io/name: neural-exporter}
POLICY
  ports:
    - {name: metrics, port: 9612, targetPort: metrics}
    - {name: events, port: 9613, targetPort: events}
    - {name: statsd, port: 8125, targetPort: statsd, protocol: UDP}
";

const MONITOR: &str = "\
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  name: neural-exporter
  namespace: neural
  labels: {app.kubernetes.io/name: neural-exporter}
spec:
  selector:
    matchLabels: {app.kubernetes.io/name: neural-exporter}
  endpoints:
    - port: metrics
      interval: 5s
      scrapeTimeout: 4s
      relabelings:
        # The rules know the job by this name.
        - {targetLabel: job, replacement: JOB}
        # Metrics have a label of this name, the service that was asked; the target's would take its place in alerts.
        - {action: labeldrop, regex: service}
";

const BOARDS: &str = "\
# One ConfigMap for each dashboard. The sidecar of Grafana in kube-prometheus-stack finds them by their label.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: neural
generatorOptions:
  disableNameSuffixHash: true
  labels: {app.kubernetes.io/name: neural-exporter, grafana_dashboard: '1'}
  annotations: {grafana_folder: Neural}
configMapGenerator:
";

const KUSTOMIZATION: &str = "\
# kubectl apply --server-side -k .   (without --server-side a dashboard is longer than the note that kubectl keeps of it)
# The repository has no prometheusrule.yml, which is a copy of alert-rules: `neural-exporter generate` writes it.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - namespace.yml
  - configmap.yml
  - daemonset.yml # or deployment.yml; each has the Service that goes with it
  - servicemonitor.yml
  - prometheusrule.yml
  - ../../dashboards
";

const HELM: &str = "\
# For the chart kube-prometheus-stack: it takes rules, monitors and dashboards of every namespace, not only those of its own
# release, and puts the dashboards into the folder that they name.
prometheus:
  prometheusSpec:
    ruleSelectorNilUsesHelmValues: false
    serviceMonitorSelectorNilUsesHelmValues: false
    retention: 35d # the objectives look three days back, their budget thirty
    enableFeatures: [exemplar-storage]
grafana:
  sidecar:
    dashboards:
      searchNamespace: ALL
      folderAnnotation: grafana_folder
      provider: {foldersFromFilesStructure: true}
";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_yaml::Value;

    use super::*;
    use crate::catalog::{OWN, PAGES};

    /// The documents of a file.
    fn objects(name: &str) -> Vec<Value> {
        let pages: Vec<&Page> = PAGES.iter().copied().chain(OWN.iter().copied()).collect();
        let mut files = Vec::new();
        render(&pages, &Settings::default(), &mut files);
        let path = format!("provisioning/kubernetes/{name}.yml");
        let text = files.into_iter().find(|file| file.path == path).expect("the file").text;
        text.split("\n---\n").map(|part| serde_yaml::from_str(part).expect("YAML")).collect()
    }

    #[test]
    fn no_label_of_the_target_takes_the_place_of_a_metrics_own() {
        // What the operator makes of a ServiceMonitor; `job` is set besides, as the rules know it.
        let mut target = BTreeSet::from(["namespace", "service", "pod", "container", "endpoint"]);
        let monitor = &objects("servicemonitor")[0];
        let relabelings = monitor["spec"]["endpoints"][0]["relabelings"].as_sequence().unwrap();
        for relabeling in relabelings {
            if relabeling["action"] == "labeldrop" {
                assert!(target.remove(relabeling["regex"].as_str().unwrap()), "{relabeling:?}");
            }
        }
        assert!(relabelings.iter().any(|r| r["targetLabel"] == "job" && r["replacement"] == "neural"));
        for metric in PAGES.iter().chain(OWN).flat_map(|page| page.metrics) {
            for label in metric.labels {
                assert!(!target.contains(label), "{} has the label {label}, too", metric.name);
            }
        }
    }

    #[test]
    fn each_dashboard_becomes_a_config_map_that_the_sidecar_finds() {
        let pages: Vec<&Page> = PAGES.iter().copied().chain(OWN.iter().copied()).collect();
        let files = crate::render::render(&pages, &Settings::default());
        let of = |path: &str| files.iter().find(|file| file.path == path).map(|file| &*file.text);
        let whole: Value = serde_yaml::from_str(of("dashboards/kustomization.yml").unwrap()).unwrap();
        assert_eq!(whole["generatorOptions"]["labels"]["grafana_dashboard"], "1");
        let maps = whole["configMapGenerator"].as_sequence().unwrap();
        let boards: BTreeSet<String> =
            maps.iter().map(|of| of["files"][0].as_str().unwrap().to_owned()).collect();
        let all = files.iter().filter_map(|file| file.path.strip_prefix("dashboards/"));
        let all = all.filter(|path| path.ends_with(".json")).map(str::to_owned);
        assert_eq!(boards, all.collect());
        for map in maps {
            let text = of(&format!("dashboards/{}", map["files"][0].as_str().unwrap())).unwrap();
            // What a ConfigMap can hold.
            assert!(text.len() < 1 << 20 && map["name"].as_str().unwrap().len() < 64, "{map:?}");
        }
        let used: Value =
            serde_yaml::from_str(of("provisioning/kubernetes/kustomization.yml").unwrap()).unwrap();
        assert!(used["resources"].as_sequence().unwrap().contains(&"../../dashboards".into()));
    }

    #[test]
    fn each_workload_has_the_service_that_goes_with_it() {
        for (name, kind, policy) in [("daemonset", "DaemonSet", "Local"), ("deployment", "Deployment", "")] {
            let [workload, service] = &objects(name)[..] else { panic!("two objects") };
            assert_eq!(workload["kind"], kind);
            assert_eq!(service["kind"], "Service");
            assert_eq!(service["spec"]["selector"], workload["spec"]["selector"]["matchLabels"]);
            // One replica alone is reached from the other nodes only without a policy.
            assert_eq!(service["spec"]["internalTrafficPolicy"].as_str().unwrap_or_default(), policy);
            assert_eq!(service["spec"]["ports"].as_sequence().unwrap().len(), 3);
        }
    }
}
