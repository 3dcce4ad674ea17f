//! Providers, as both dialects write them, checked.

use super::field::{bare_host, optional, path_text, required};
use super::{AwsCredential, Provider, Schema, SpecError};
use crate::backend_provider::{AzureOpenAiSpec, Guardrail, VertexAiSpec};
use crate::sensitive::SensitiveString;

/// Where Bedrock is unless said otherwise.
const DEFAULT_REGION: &str = "us-east-1";

pub(super) fn gemini(
    path: &str,
    model: Option<&str>,
    api_version: Option<&str>,
) -> Result<Provider, SpecError> {
    let model = path_text(format!("{path}.model"), model, "/@")?;
    let api_version = path_text(format!("{path}.apiVersion"), api_version, "")?;
    Ok(Provider::Gemini { model, api_version })
}

pub(super) fn azure(path: &str, spec: &AzureOpenAiSpec) -> Result<Provider, SpecError> {
    let field = format!("{path}.endpoint");
    let endpoint = required(&field, spec.endpoint.as_deref())?.trim();
    let host = endpoint.strip_prefix("https://").unwrap_or(endpoint).trim_end_matches('/');
    if endpoint.starts_with("http://") {
        return Err(SpecError::invalid(field, "must not be plain http"));
    }
    Ok(Provider::AzureOpenAi {
        endpoint: bare_host(&field, host)?,
        deployment: path_text(format!("{path}.deploymentName"), spec.deployment_name.as_deref(), "")?,
        api_version: path_text(format!("{path}.apiVersion"), spec.api_version.as_deref(), "")?,
    })
}

pub(super) fn anthropic(
    version_path: &str,
    version: Option<&String>,
    model: Option<&String>,
) -> Result<Provider, SpecError> {
    let version = optional(version);
    if version.as_ref().is_some_and(|version| !version.chars().all(|c| c.is_ascii_graphic())) {
        return Err(SpecError::invalid(version_path, "cannot be the value of a header"));
    }
    Ok(Provider::Anthropic { model: optional(model), version })
}

pub(super) fn vertex(path: &str, spec: &VertexAiSpec, schema: Schema) -> Result<Provider, SpecError> {
    let text = |name: &str, value: &Option<String>, also: &str| {
        path_text(format!("{path}.{name}"), value.as_deref(), also)
    };
    let method = match optional(spec.model_path.as_ref()) {
        None => None,
        written => Some(text("modelPath", &written, "?=&")?),
    };
    Ok(Provider::VertexAi {
        model: text("model", &spec.model, "/@")?,
        api_version: text("apiVersion", &spec.api_version, "")?,
        project: text("projectId", &spec.project_id, ":")?,
        location: text("location", &spec.location, "")?,
        publisher: if schema == Schema::Anthropic { "anthropic" } else { "google" }.to_owned(),
        method,
        schema,
    })
}

pub(super) fn bedrock(
    path: &str,
    model: Option<&str>,
    region: Option<&String>,
    guardrail: Option<Guardrail>,
) -> Result<Provider, SpecError> {
    let field = format!("{path}.model");
    let model = required(&field, model)?;
    if !model.chars().all(|c| c.is_ascii_graphic()) {
        return Err(SpecError::invalid(field, "cannot be part of a URL path"));
    }
    let region = optional(region).unwrap_or_else(|| DEFAULT_REGION.to_owned());
    let is_legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !region.chars().all(is_legal) {
        let message = "is no AWS region: it may hold lower-case letters, digits and `-`";
        return Err(SpecError::invalid(format!("{path}.region"), message));
    }
    Ok(Provider::Bedrock { model: model.to_owned(), region, guardrail })
}

/// An AWS credential that is written out.
pub(super) fn aws_inline(
    path: &str,
    access_key: &SensitiveString,
    secret_key: &SensitiveString,
    session_token: Option<&SensitiveString>,
) -> Result<AwsCredential, SpecError> {
    AwsCredential::new(access_key.expose(), secret_key.expose(), session_token.map(SensitiveString::expose))
        .map_err(|message| SpecError::invalid(path, message))
}
