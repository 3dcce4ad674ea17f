//! The three shapes of `gateway.kgateway.dev` Backend.

use super::{
    AiDestination, AuthToken, Canonical, HostOverride, Overrides, PathOverride, Provider, SpecError,
    StaticBackendSpec, StaticEndpoint, Target, Warning,
    field::{
        at_most_one, auth_token, bare_host, exactly_one, full_path, gemini, header_name, host,
        host_from_text, optional,
    },
};
use crate::{
    auth_token::AuthTokenSpec,
    backend::{AiSpec, AuthHeader, BackendSpec, BackendType, GeminiSpec, LlmSpec, OpenAiSpec, StaticSpec},
    sensitive::Opaque,
    string_or::StringOr,
};

pub(super) fn canonical(spec: &BackendSpec, namespace: &str) -> Result<Canonical, SpecError> {
    check_members(spec)?;
    let mut warnings = Vec::new();
    let target = match spec.type_ {
        BackendType::AI => {
            let ai = ai(required_member("ai", spec.ai.as_ref())?, namespace, &mut warnings);
            ai.map(|destination| Target::Ai(destination.into()))
        }
        BackendType::Static => {
            static_hosts(required_member("static", spec.static_.as_ref())?).map(Target::Static)
        }
        BackendType::AWS => Err(unsupported_type("AWS")),
        BackendType::DynamicForwardProxy => Err(unsupported_type("DynamicForwardProxy")),
        BackendType::MCP => Err(unsupported_type("MCP")),
    }?;
    Ok(Canonical { target, warnings })
}

fn unsupported_type(name: &str) -> SpecError {
    SpecError::unsupported("spec.type", format!("type {name} is not supported yet"))
}

fn required_member<'a, T>(name: &str, member: Option<&'a T>) -> Result<&'a T, SpecError> {
    member.ok_or_else(|| SpecError::invalid(format!("spec.{name}"), "is required by spec.type"))
}

/// A member of another type than the one chosen would otherwise be ignored silently.
fn check_members(spec: &BackendSpec) -> Result<(), SpecError> {
    let BackendSpec { type_, ai, static_, aws, dynamic_forward_proxy, mcp } = spec;
    let members = [
        (BackendType::AI, "ai", ai.is_some()),
        (BackendType::Static, "static", static_.is_some()),
        (BackendType::AWS, "aws", aws.is_some()),
        (BackendType::DynamicForwardProxy, "dynamicForwardProxy", dynamic_forward_proxy.is_some()),
        (BackendType::MCP, "mcp", mcp.is_some()),
    ];
    match members.into_iter().find(|(member, _, is_set)| *is_set && member != type_) {
        Some((_, name, _)) => Err(SpecError::invalid(
            format!("spec.{name}"),
            format!("must not be set when spec.type is {type_:?}"),
        )),
        None => Ok(()),
    }
}

fn static_hosts(spec: &StaticSpec) -> Result<StaticBackendSpec, SpecError> {
    if spec.hosts.is_empty() {
        return Err(SpecError::invalid("spec.static.hosts", "must hold at least one host"));
    }
    let endpoint = |(index, host): (usize, &crate::backend::StaticHost)| {
        let name = bare_host(&format!("spec.static.hosts[{index}].host"), &host.host)?;
        Ok(StaticEndpoint { host: name, port: host.port, server_name: None })
    };
    let hosts = spec.hosts.iter().enumerate().map(endpoint).collect::<Result<_, _>>()?;
    Ok(StaticBackendSpec { hosts, app_protocol: spec.app_protocol })
}

// --- ai ---

fn ai(spec: &AiSpec, namespace: &str, warnings: &mut Vec<Warning>) -> Result<AiDestination, SpecError> {
    // Complete, so that no field of a future shape is forgotten.
    let AiSpec {
        llm,
        multipool,
        priority_groups,
        host_override: _,
        path_override: _,
        auth_header_override: _,
    } = spec;
    let members = [
        ("llm", llm.is_some()),
        ("multipool", multipool.is_some()),
        ("priorityGroups", priority_groups.is_some()),
    ];
    let (member, ()) = exactly_one(
        "spec.ai",
        "of llm, multipool and priorityGroups",
        members.map(|(n, s)| (n, s.then_some(()))),
    )?;
    let Some(llm) = llm else {
        let message = "pools of several providers are not supported yet";
        return Err(SpecError::unsupported(format!("spec.ai.{member}"), message));
    };
    let chosen = provider(llm)?;
    let (provider, own_token) = chosen.resolve()?;
    Ok(AiDestination {
        auth: credential_source(llm, &chosen.path, own_token, namespace, warnings)?,
        overrides: overrides(spec, llm, warnings)?,
        provider,
    })
}

/// A member that names a provider.
enum Member<'a> {
    OpenAi(&'a OpenAiSpec),
    Gemini(&'a GeminiSpec),
    Other,
}

/// The provider that is set, with its path.
struct Chosen<'a> {
    path: String,
    member: Member<'a>,
}

/// One provider, either under `provider` (2.0) or directly (2.1).
fn provider(llm: &LlmSpec) -> Result<Chosen<'_>, SpecError> {
    let LlmSpec { provider, openai, gemini, azureopenai, anthropic, vertexai, bedrock, .. } = llm;
    let direct = members(openai, gemini, [azureopenai, anthropic, vertexai, bedrock]);
    let Some(nested) = provider else {
        return choose("spec.ai.llm", direct);
    };
    if let Some((name, _)) = direct.into_iter().find(|(_, member)| member.is_some()) {
        let message = "must not be set together with spec.ai.llm.provider";
        return Err(SpecError::invalid(format!("spec.ai.llm.{name}"), message));
    }
    let others = [&nested.azureopenai, &nested.anthropic, &nested.vertexai, &nested.bedrock];
    choose("spec.ai.llm.provider", members(&nested.openai, &nested.gemini, others))
}

type NamedMember<'a> = (&'static str, Option<Member<'a>>);

fn members<'a>(
    openai: &'a Option<OpenAiSpec>,
    gemini: &'a Option<GeminiSpec>,
    [azureopenai, anthropic, vertexai, bedrock]: [&'a Option<Opaque>; 4],
) -> [NamedMember<'a>; 6] {
    [
        ("openai", openai.as_ref().map(Member::OpenAi)),
        ("gemini", gemini.as_ref().map(Member::Gemini)),
        ("azureopenai", azureopenai.as_ref().map(|_| Member::Other)),
        ("anthropic", anthropic.as_ref().map(|_| Member::Other)),
        ("vertexai", vertexai.as_ref().map(|_| Member::Other)),
        ("bedrock", bedrock.as_ref().map(|_| Member::Other)),
    ]
}

fn choose<'a>(parent: &str, members: [NamedMember<'a>; 6]) -> Result<Chosen<'a>, SpecError> {
    let (name, member) = exactly_one(parent, "provider", members)?;
    Ok(Chosen { path: format!("{parent}.{name}"), member })
}

impl<'a> Chosen<'a> {
    /// The provider and the credential written inside it.
    fn resolve(&self) -> Result<(Provider, Option<&'a AuthTokenSpec>), SpecError> {
        match self.member {
            Member::OpenAi(spec) => {
                Ok((Provider::OpenAi { model: optional(spec.model.as_ref()) }, spec.auth_token.as_ref()))
            }
            Member::Gemini(spec) => {
                let provider = gemini(&self.path, spec.model.as_deref(), spec.api_version.as_deref())?;
                Ok((provider, spec.auth_token.as_ref()))
            }
            Member::Other => {
                Err(SpecError::unsupported(self.path.clone(), "this provider is not supported yet"))
            }
        }
    }
}

/// The credential: written inside the provider, or (a slip of published examples) beside it.
fn credential_source(
    llm: &LlmSpec,
    provider_path: &str,
    own: Option<&AuthTokenSpec>,
    namespace: &str,
    warnings: &mut Vec<Warning>,
) -> Result<AuthToken, SpecError> {
    let own_path = format!("{provider_path}.authToken");
    let nested = llm.provider.as_ref().and_then(|provider| provider.auth_token.as_ref());
    let candidates = [
        (own_path.clone(), own),
        ("spec.ai.llm.provider.authToken".to_owned(), nested),
        ("spec.ai.llm.authToken".to_owned(), llm.auth_token.as_ref()),
    ];
    let Some((path, token)) = at_most_one(candidates)? else {
        return Err(SpecError::invalid(own_path, "is required"));
    };
    if path != own_path {
        warnings.push(Warning::new(&path, format!("belongs under the provider, at {own_path}")));
    }
    auth_token(&path, token, namespace)
}

// --- overrides ---

fn overrides(spec: &AiSpec, llm: &LlmSpec, warnings: &mut Vec<Warning>) -> Result<Overrides, SpecError> {
    let host = host_override(spec, llm, warnings)?;
    let path = path_override(spec, llm, warnings)?;
    let header = auth_header(spec, llm, warnings)?;
    let (path_of_header, header) = header.unzip();
    let auth_header_name = match header.and_then(|header| header.header_name.as_deref()) {
        Some(name) => Some(header_name(&format!("{}.headerName", path_of_header.unwrap_or_default()), name)?),
        None => None,
    };
    let auth_header_prefix = header.and_then(|header| header.prefix.clone());
    Ok(Overrides { host, path, auth_header_name, auth_header_prefix })
}

fn host_override(
    spec: &AiSpec,
    llm: &LlmSpec,
    warnings: &mut Vec<Warning>,
) -> Result<Option<HostOverride>, SpecError> {
    let objects = [
        ("spec.ai.llm.hostOverride".to_owned(), llm.host_override.as_ref()),
        ("spec.ai.hostOverride".to_owned(), spec.host_override.as_ref()),
    ];
    let object = at_most_one(objects)?;
    match (object, &llm.host, llm.port) {
        (Some((path, _)), Some(_), _) | (Some((path, _)), _, Some(_)) => {
            Err(SpecError::invalid(path, "must not be set together with spec.ai.llm.host and port"))
        }
        (None, Some(name), Some(port)) => host("spec.ai.llm.host", name, port).map(Some),
        (None, Some(_), None) => Err(SpecError::invalid("spec.ai.llm.port", "is required with host")),
        (None, None, Some(_)) => Err(SpecError::invalid("spec.ai.llm.host", "is required with port")),
        (None, None, None) => Ok(None),
        (Some((path, value)), None, None) => {
            warn_if_misplaced(&path, warnings);
            match value {
                StringOr::Object(object) => host(&format!("{path}.host"), &object.host, object.port),
                StringOr::String(text) => {
                    warnings.push(Warning::new(&path, "should be an object with host and port"));
                    host_from_text(&path, text)
                }
            }
            .map(Some)
        }
    }
}

fn path_override(
    spec: &AiSpec,
    llm: &LlmSpec,
    warnings: &mut Vec<Warning>,
) -> Result<Option<PathOverride>, SpecError> {
    let current = llm.path.as_ref().map(|path| path.full.as_str());
    let objects = [
        ("spec.ai.llm.pathOverride".to_owned(), llm.path_override.as_ref()),
        ("spec.ai.pathOverride".to_owned(), spec.path_override.as_ref()),
    ];
    let (path, value) = match (at_most_one(objects)?, current) {
        (None, None) => return Ok(None),
        (None, Some(full)) => ("spec.ai.llm.path.full".to_owned(), full),
        (Some((path, _)), Some(_)) => {
            return Err(SpecError::invalid(path, "must not be set together with spec.ai.llm.path"));
        }
        (Some((path, value)), None) => {
            warn_if_misplaced(&path, warnings);
            match value {
                StringOr::Object(object) => (format!("{path}.fullPath"), object.full_path.as_str()),
                StringOr::String(text) => {
                    warnings.push(Warning::new(&path, "should be an object with fullPath"));
                    (path, text.as_str())
                }
            }
        }
    };
    full_path(&path, value).map(Some)
}

fn auth_header<'a>(
    spec: &'a AiSpec,
    llm: &'a LlmSpec,
    warnings: &mut Vec<Warning>,
) -> Result<Option<(String, &'a AuthHeader)>, SpecError> {
    let candidates = [
        ("spec.ai.llm.authHeader".to_owned(), llm.auth_header.as_ref()),
        ("spec.ai.llm.authHeaderOverride".to_owned(), llm.auth_header_override.as_ref()),
        ("spec.ai.authHeaderOverride".to_owned(), spec.auth_header_override.as_ref()),
    ];
    let Some((path, header)) = at_most_one(candidates)? else { return Ok(None) };
    warn_if_misplaced(&path, warnings);
    if header.prefix.is_none() && header.header_name.is_none() {
        return Err(SpecError::invalid(path, "prefix or headerName must be set"));
    }
    if header.prefix.as_deref() == Some("") {
        warnings.push(Warning::new(
            format!("{path}.prefix"),
            "is empty: nothing is written before the credential",
        ));
    }
    Ok(Some((path, header)))
}

/// Overrides directly under `spec.ai` are a slip of published examples.
fn warn_if_misplaced(path: &str, warnings: &mut Vec<Warning>) {
    if let Some(name) = path.strip_prefix("spec.ai.").filter(|name| !name.starts_with("llm.")) {
        warnings.push(Warning::new(path, format!("belongs under llm, at spec.ai.llm.{name}")));
    }
}
