//! The command that runs nothing, `translate`, and what it has in common with `check`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use crds::ObjectRef;
use serde_json::{Value, json};
use translator::status::render_status;
use translator::xds::XdsKind;
use translator::{Addressing, CONTROLLER_NAME, GatewayOutput, Settings, Translation, Translator};

use crate::args::{OutputForm, TranslateArgs, TranslationArgs};
use crate::clock;
use crate::exit::Outcome;
use crate::settings::{Machine, standalone};
use crate::source::file::FileSource;
use crate::source::{Finding, Origins, Severity};

/// What a command prints, and how it ends.
#[derive(Debug, PartialEq, Eq)]
pub struct Printed {
    /// For standard output.
    pub output: String,
    /// For standard error.
    pub remarks: String,
    /// How the command ends.
    pub outcome: Outcome,
}

/// `chancery translate`: Envoy's configuration and the statuses. The secrets are left out.
///
/// # Errors
/// The input cannot be read at all.
pub fn translate_command(args: &TranslateArgs, machine: &Machine) -> Result<Printed> {
    let TranslateArgs { paths, translation, output: form } = args;
    let Input { translation, findings, .. } = read(paths, translation, machine, false)?;
    let value = describe(&translation)?;
    let output = match form {
        OutputForm::Yaml => serde_saphyr::to_string(&value).context("cannot write YAML")?,
        OutputForm::Json => format!("{value:#}\n"),
    };
    let is_complete = !findings.iter().any(|finding| finding.severity == Severity::Problem);
    let outcome = if is_complete { Outcome::Success } else { Outcome::ProblemsFound };
    Ok(Printed { output, remarks: lines(findings.iter()), outcome })
}

/// What files come to.
pub(crate) struct Input {
    pub(crate) translation: Translation,
    /// What there is to say about the files themselves.
    pub(crate) findings: Vec<Finding>,
    pub(crate) origins: Arc<Origins>,
    /// Services of which no file says where they run, if that has to be said.
    pub(crate) without_endpoints: BTreeSet<ObjectRef>,
    pub(crate) files: usize,
}

/// Reads and translates files as `run` does, or as a cluster does.
///
/// # Errors
/// The input cannot be read at all.
pub(crate) fn read(
    paths: &[PathBuf],
    args: &TranslationArgs,
    machine: &Machine,
    for_cluster: bool,
) -> Result<Input> {
    let settings = standalone(args, machine)?;
    let mut source = FileSource::with_standard_input(paths)?;
    let settings = match for_cluster {
        true => {
            source = source.without_implied_gateway();
            Settings { addressing: Addressing::AllInterfaces, lowest_port: 1, ..settings }
        }
        false => settings,
    };
    let mut translator = Translator::new(settings);
    let update = source.read();
    translator.update(update.changes);
    let without_endpoints = match for_cluster {
        true => BTreeSet::new(),
        false => translator.services_without_endpoints(),
    };
    Ok(Input {
        translation: translator.translation(),
        findings: update.findings.unwrap_or_default(),
        origins: source.origins().now(),
        without_endpoints,
        files: source.file_count(),
    })
}

/// One line for each, whatever a message quotes.
pub(crate) fn lines(items: impl IntoIterator<Item = impl ToString>) -> String {
    // A message may quote what a user wrote in several lines.
    items.into_iter().map(|item| item.to_string().replace('\n', " ") + "\n").collect()
}

/// The same input gives the same text: no clock, everything sorted.
fn describe(translation: &Translation) -> Result<Value> {
    let mut gateways = serde_json::Map::new();
    for (name, output) in &translation.gateways {
        gateways.insert(name.to_string(), describe_resources(output)?);
    }
    let statuses = translation.reports.iter().map(|report| {
        let status = render_status(report, None, CONTROLLER_NAME, &clock::epoch());
        json!({ "object": format!("{:#}", report.object), "status": status })
    });
    Ok(json!({ "gateways": gateways, "statuses": statuses.collect::<Vec<_>>() }))
}

fn describe_resources(output: &GatewayOutput) -> Result<Value> {
    let mut by_kind: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for resource in output.resources.values() {
        let message = proto::to_json(&resource.kind.type_url(), &resource.bytes)
            .with_context(|| format!("cannot describe {}", resource.name))?;
        by_kind.entry(kind_name(resource.kind)).or_default().push(message);
    }
    Ok(json!(by_kind))
}

fn kind_name(kind: XdsKind) -> &'static str {
    match kind {
        XdsKind::Cluster => "clusters",
        XdsKind::Endpoint => "endpoints",
        XdsKind::Secret => "secrets",
        XdsKind::Extension => "extensions",
        XdsKind::Listener => "listeners",
        XdsKind::Route => "routes",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use super::*;

    pub(crate) const GATEWAY: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: web}\nspec:\n  \
        gatewayClassName: chancery\n  listeners: [{name: http, protocol: HTTP, port: 8080}]\n";
    pub(crate) const ROUTE: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec:\n  \
        parentRefs: [{name: web}]\n  rules:\n  - backendRefs: [{group: gateway.kgateway.dev, kind: Backend, name: ai}]\n";
    pub(crate) const BACKEND: &str = "apiVersion: gateway.kgateway.dev/v1alpha1\nkind: Backend\nmetadata: {name: ai}\nspec:\n  \
        type: AI\n  ai: {llm: {provider: {gemini: {apiVersion: v1beta, model: m, authToken: {kind: SecretRef, secretRef: {name: key}}}}}}\n";
    pub(crate) const SECRET: &str =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: key}\nstringData: {Authorization: sk-canary}\n";

    pub(crate) fn write(documents: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.yaml"), documents.join("---\n")).unwrap();
        folder
    }

    pub(crate) fn machine() -> Machine {
        Machine { lowest_port: 1, trust_file: Some("/trust.pem".into()), ai_module: None }
    }

    pub(crate) fn translation_args() -> TranslationArgs {
        TranslationArgs {
            bind: None,
            connect_to: Vec::new(),
            upstream_ca: None,
            stream_idle_timeout: translator::DEFAULT_STREAM_IDLE_TIMEOUT,
            access_log: None,
            ai_module: None,
            test: crate::args::TestArgs::default(),
        }
    }

    fn translate_to(folder: &Path, output: OutputForm) -> Printed {
        let args = TranslateArgs { paths: vec![folder.to_owned()], translation: translation_args(), output };
        translate_command(&args, &machine()).unwrap()
    }

    #[test]
    fn translations_are_reproducible_and_show_no_key() {
        let folder = write(&[GATEWAY, ROUTE, BACKEND, SECRET]);
        let printed = translate_to(folder.path(), OutputForm::Yaml);
        assert_eq!(printed.outcome, Outcome::Success);
        assert!(
            !printed.output.contains("canary") && !printed.output.contains("c2stY2FuYXJ5"),
            "{}",
            printed.output
        );
        assert!(printed.output.contains("generativelanguage.googleapis.com"), "{}", printed.output);
        assert_eq!(translate_to(folder.path(), OutputForm::Yaml), printed);
    }

    #[test]
    fn yaml_and_json_say_the_same() {
        let folder = write(&[GATEWAY, ROUTE, BACKEND, SECRET]);
        let yaml: Value =
            serde_saphyr::from_str(&translate_to(folder.path(), OutputForm::Yaml).output).unwrap();
        let json: Value =
            serde_json::from_str(&translate_to(folder.path(), OutputForm::Json).output).unwrap();
        assert_eq!(yaml, json);
        assert_eq!(json["statuses"].as_array().unwrap().len(), 3);
        assert!(json["gateways"]["default/web"]["listeners"].is_array());
    }
}
