//! `gloo.solo.io` Upstream.

use super::{
    AiDestination, Canonical, HostOverride, Overrides, PathOverride, Provider, SpecError, StaticBackendSpec,
    StaticEndpoint, Target,
    field::{auth_token, bare_host, base_path, exactly_one, full_path, gemini, host, optional},
};
use crate::upstream::{CustomHost, CustomPath, UpstreamAiSpec, UpstreamSpec, UpstreamStaticSpec};

pub(super) fn canonical(spec: &UpstreamSpec, namespace: &str) -> Result<Canonical, SpecError> {
    let UpstreamSpec { ai, static_, kube, aws, aws_ec2, azure, gcp, consul, pipe } = spec;
    let members = [
        ("ai", ai.is_some()),
        ("static", static_.is_some()),
        ("kube", kube.is_some()),
        ("aws", aws.is_some()),
        ("awsEc2", aws_ec2.is_some()),
        ("azure", azure.is_some()),
        ("gcp", gcp.is_some()),
        ("consul", consul.is_some()),
        ("pipe", pipe.is_some()),
    ];
    let (name, ()) = exactly_one("spec", "type of upstream", members.map(|(n, s)| (n, s.then_some(()))))?;
    let target = match (ai, static_) {
        (Some(ai), _) => Target::Ai(canonical_ai(ai, namespace)?.into()),
        (None, Some(hosts)) => Target::Static(static_hosts(hosts)?),
        (None, None) => {
            return Err(SpecError::unsupported(
                format!("spec.{name}"),
                "this type of upstream is not supported yet",
            ));
        }
    };
    Ok(Canonical { target, warnings: Vec::new() })
}

fn canonical_ai(spec: &UpstreamAiSpec, namespace: &str) -> Result<AiDestination, SpecError> {
    let UpstreamAiSpec {
        openai,
        gemini: gemini_spec,
        azure_openai,
        anthropic,
        mistral,
        vertex_ai,
        bedrock,
        multi,
    } = spec;
    let members = [
        ("openai", openai.is_some()),
        ("gemini", gemini_spec.is_some()),
        ("azureOpenai", azure_openai.is_some()),
        ("anthropic", anthropic.is_some()),
        ("mistral", mistral.is_some()),
        ("vertexAi", vertex_ai.is_some()),
        ("bedrock", bedrock.is_some()),
        ("multi", multi.is_some()),
    ];
    let (name, ()) = exactly_one("spec.ai", "provider", members.map(|(n, s)| (n, s.then_some(()))))?;
    let path = format!("spec.ai.{name}");
    let (provider, token, custom_host) = match (openai, gemini_spec) {
        (Some(spec), _) => {
            let provider = Provider::OpenAi { model: optional(spec.model.as_ref()) };
            (provider, &spec.auth_token, &spec.custom_host)
        }
        (None, Some(spec)) => {
            let provider = gemini(&path, spec.model.as_deref(), spec.api_version.as_deref())?;
            (provider, &spec.auth_token, &spec.custom_host)
        }
        (None, None) if multi.is_some() => {
            return Err(SpecError::unsupported(path, "pools of several providers are not supported yet"));
        }
        (None, None) => return Err(SpecError::unsupported(path, "this provider is not supported yet")),
    };
    let token_path = format!("{path}.authToken");
    let token = token.as_ref().ok_or_else(|| SpecError::invalid(&token_path, "is required"))?;
    let auth = auth_token(&token_path, token, namespace)?;
    let overrides = match custom_host {
        Some(custom) => overrides(&format!("{path}.customHost"), custom)?,
        None => Overrides::default(),
    };
    Ok(AiDestination { provider, auth, overrides })
}

fn overrides(path: &str, custom: &CustomHost) -> Result<Overrides, SpecError> {
    let mut host: HostOverride = host(&format!("{path}.host"), &custom.host, custom.port)?;
    if let Some(name) = optional(custom.hostname.as_ref()) {
        host.server_name = bare_host(&format!("{path}.hostname"), &name)?;
    }
    let path = match &custom.path_override {
        Some(custom) => Some(path_override(&format!("{path}.pathOverride"), custom)?),
        None => None,
    };
    Ok(Overrides { host: Some(host), path, ..Overrides::default() })
}

fn path_override(path: &str, custom: &CustomPath) -> Result<PathOverride, SpecError> {
    let members = [("fullPath", custom.full_path.as_deref()), ("basePath", custom.base_path.as_deref())];
    let (name, value) = exactly_one(path, "of fullPath and basePath", members)?;
    let path = format!("{path}.{name}");
    if name == "fullPath" { full_path(&path, value) } else { base_path(&path, value) }
}

fn static_hosts(spec: &UpstreamStaticSpec) -> Result<StaticBackendSpec, SpecError> {
    if spec.hosts.is_empty() {
        return Err(SpecError::invalid("spec.static.hosts", "must hold at least one host"));
    }
    let endpoint = |(index, host): (usize, &crate::upstream::UpstreamHost)| {
        let path = format!("spec.static.hosts[{index}]");
        let server_name = match optional(host.sni_addr.as_ref()) {
            Some(name) => Some(bare_host(&format!("{path}.sniAddr"), &name)?),
            None => None,
        };
        let name = bare_host(&format!("{path}.addr"), &host.addr)?;
        Ok(StaticEndpoint { host: name, port: host.port, server_name })
    };
    let hosts = spec.hosts.iter().enumerate().map(endpoint).collect::<Result<_, _>>()?;
    Ok(StaticBackendSpec { hosts, app_protocol: None })
}
