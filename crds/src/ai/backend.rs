//! The three shapes of `gateway.kgateway.dev` Backend.

use super::{
    AiDestination, AiGroup, AiPool, AuthToken, Canonical, HostOverride, Overrides, PathOverride, Provider,
    Schema, SpecError, StaticBackendSpec, StaticEndpoint, Target, Warning,
    field::{
        at_most_one, auth_token, bare_host, exactly_one, full_path, header_name, host, host_from_text,
        optional, secret_reference,
    },
    provider,
};
use crate::{
    auth_token::AuthTokenSpec,
    backend::{AiSpec, AuthHeader, BackendSpec, BackendType, LlmSpec, ProviderSpec, StaticSpec},
    backend_provider::{
        AnthropicSpec, AwsAuth, AwsAuthType, AzureOpenAiSpec, BedrockSpec, GeminiSpec, OpenAiSpec,
        VertexAiSpec,
    },
    string_or::StringOr,
};

pub(super) fn canonical(spec: &BackendSpec, namespace: &str) -> Result<Canonical, SpecError> {
    check_members(spec)?;
    let mut warnings = Vec::new();
    let target = match spec.type_ {
        BackendType::AI => {
            ai(required_member("ai", spec.ai.as_ref())?, namespace, &mut warnings).map(Target::Ai)
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

fn ai(spec: &AiSpec, namespace: &str, warnings: &mut Vec<Warning>) -> Result<AiPool, SpecError> {
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
    exactly_one(
        "spec.ai",
        "of llm, multipool and priorityGroups",
        members.map(|(n, s)| (n, s.then_some(()))),
    )?;
    let mut read = |path: String, misplaced: Misplaced<'_>, llm: &LlmSpec| {
        destination(&Place { path, misplaced, namespace }, llm, warnings)
    };
    if let Some(llm) = llm {
        return Ok(read("spec.ai.llm".to_owned(), Misplaced(Some(spec)), llm)?.into());
    }
    let groups: Vec<(String, &[LlmSpec])> = match (multipool, priority_groups) {
        (Some(multipool), _) => {
            let pools = multipool.priorities.iter().enumerate();
            pools
                .map(|(index, pool)| {
                    (format!("spec.ai.multipool.priorities[{index}].pool"), pool.pool.as_slice())
                })
                .collect()
        }
        (None, groups) => {
            let groups = groups.iter().flatten().enumerate();
            groups
                .map(|(index, group)| {
                    (format!("spec.ai.priorityGroups[{index}].providers"), group.providers.as_slice())
                })
                .collect()
        }
    };
    pool(&groups, |path, llm| read(path, Misplaced(None), llm))
}

/// Groups, each with the path of its list.
fn pool(
    groups: &[(String, &[LlmSpec])],
    mut read: impl FnMut(String, &LlmSpec) -> Result<AiDestination, SpecError>,
) -> Result<AiPool, SpecError> {
    if groups.is_empty() {
        return Err(SpecError::invalid("spec.ai", "must hold at least one group of providers"));
    }
    let mut read_group = |(path, members): &(String, &[LlmSpec])| {
        if members.is_empty() {
            return Err(SpecError::invalid(path, "must hold at least one provider"));
        }
        let members = members.iter().enumerate();
        let destinations =
            members.map(|(index, llm)| read(format!("{path}[{index}]"), llm)).collect::<Result<_, _>>()?;
        Ok(AiGroup { destinations })
    };
    Ok(AiPool { groups: groups.iter().map(&mut read_group).collect::<Result<_, _>>()? })
}

/// Where a provider with its overrides stands.
struct Place<'a> {
    path: String,
    misplaced: Misplaced<'a>,
    namespace: &'a str,
}

/// Overrides that published examples put beside `llm`.
#[derive(Clone, Copy)]
struct Misplaced<'a>(Option<&'a AiSpec>);

fn destination(
    place: &Place<'_>,
    llm: &LlmSpec,
    warnings: &mut Vec<Warning>,
) -> Result<AiDestination, SpecError> {
    let (path, spec) = provider_member(&place.path, llm)?;
    let provider = spec.provider(&path)?;
    let auth = match &spec {
        Member::Bedrock(spec) => aws_auth(&format!("{path}.auth"), spec.auth.as_ref(), place.namespace)?,
        _ => credential_source(place, llm, &path, spec.auth_token(), warnings)?,
    };
    Ok(AiDestination { name: llm.name.clone(), auth, overrides: overrides(place, llm, warnings)?, provider })
}

/// A member that names a provider.
#[derive(Clone, Copy)]
enum Member<'a> {
    OpenAi(&'a OpenAiSpec),
    Gemini(&'a GeminiSpec),
    AzureOpenAi(&'a AzureOpenAiSpec),
    Anthropic(&'a AnthropicSpec),
    VertexAi(&'a VertexAiSpec),
    Bedrock(&'a BedrockSpec),
}

/// The provider, either under `provider` (2.0) or directly (2.1), with its path.
fn provider_member<'a>(path: &str, llm: &'a LlmSpec) -> Result<(String, Member<'a>), SpecError> {
    let LlmSpec { provider, openai, gemini, azureopenai, anthropic, vertexai, bedrock, .. } = llm;
    let direct = members(openai, gemini, azureopenai, anthropic, vertexai, bedrock);
    let (parent, members) = match provider {
        None => (path.to_owned(), direct),
        Some(nested) => {
            if let Some((name, _)) = direct.into_iter().find(|(_, member)| member.is_some()) {
                let message = format!("must not be set together with {path}.provider");
                return Err(SpecError::invalid(format!("{path}.{name}"), message));
            }
            let ProviderSpec { openai, gemini, azureopenai, anthropic, vertexai, bedrock, auth_token: _ } =
                nested;
            let members = members(openai, gemini, azureopenai, anthropic, vertexai, bedrock);
            (format!("{path}.provider"), members)
        }
    };
    let (name, member) = exactly_one(&parent, "provider", members)?;
    Ok((format!("{parent}.{name}"), member))
}

fn members<'a>(
    openai: &'a Option<OpenAiSpec>,
    gemini: &'a Option<GeminiSpec>,
    azureopenai: &'a Option<AzureOpenAiSpec>,
    anthropic: &'a Option<AnthropicSpec>,
    vertexai: &'a Option<VertexAiSpec>,
    bedrock: &'a Option<BedrockSpec>,
) -> [(&'static str, Option<Member<'a>>); 6] {
    [
        ("openai", openai.as_ref().map(Member::OpenAi)),
        ("gemini", gemini.as_ref().map(Member::Gemini)),
        ("azureopenai", azureopenai.as_ref().map(Member::AzureOpenAi)),
        ("anthropic", anthropic.as_ref().map(Member::Anthropic)),
        ("vertexai", vertexai.as_ref().map(Member::VertexAi)),
        ("bedrock", bedrock.as_ref().map(Member::Bedrock)),
    ]
}

impl<'a> Member<'a> {
    fn provider(self, path: &str) -> Result<Provider, SpecError> {
        match self {
            Self::OpenAi(spec) => Ok(Provider::OpenAi { model: optional(spec.model.as_ref()) }),
            Self::Gemini(spec) => provider::gemini(path, spec.model.as_deref(), spec.api_version.as_deref()),
            Self::AzureOpenAi(spec) => provider::azure(path, spec),
            Self::Anthropic(spec) => {
                let version_path = format!("{path}.apiVersion");
                provider::anthropic(&version_path, spec.api_version.as_ref(), spec.model.as_ref())
            }
            Self::VertexAi(spec) => provider::vertex(path, spec, Schema::Gemini),
            Self::Bedrock(spec) => {
                provider::bedrock(path, spec.model.as_deref(), spec.region.as_ref(), spec.guardrail.clone())
            }
        }
    }

    /// The credential written inside it.
    fn auth_token(self) -> Option<&'a AuthTokenSpec> {
        match self {
            Self::OpenAi(spec) => spec.auth_token.as_ref(),
            Self::Gemini(spec) => spec.auth_token.as_ref(),
            Self::AzureOpenAi(spec) => spec.auth_token.as_ref(),
            Self::Anthropic(spec) => spec.auth_token.as_ref(),
            Self::VertexAi(spec) => spec.auth_token.as_ref(),
            Self::Bedrock(_) => None,
        }
    }
}

fn aws_auth(path: &str, auth: Option<&AwsAuth>, namespace: &str) -> Result<AuthToken, SpecError> {
    let auth = auth.ok_or_else(|| SpecError::invalid(path, "is required"))?;
    let AwsAuth { type_: AwsAuthType::Secret, secret_ref } = auth;
    let path = format!("{path}.secretRef");
    let secret = secret_ref.as_ref().ok_or_else(|| SpecError::invalid(&path, "is required by type"))?;
    secret_reference(&path, secret, namespace).map(AuthToken::AwsSecretRef)
}

/// The credential: written inside the provider, or (a slip of published examples) beside it.
fn credential_source(
    place: &Place<'_>,
    llm: &LlmSpec,
    provider_path: &str,
    own: Option<&AuthTokenSpec>,
    warnings: &mut Vec<Warning>,
) -> Result<AuthToken, SpecError> {
    let own_path = format!("{provider_path}.authToken");
    let nested = llm.provider.as_ref().and_then(|provider| provider.auth_token.as_ref());
    let candidates = [
        (own_path.clone(), own),
        (format!("{}.provider.authToken", place.path), nested),
        (format!("{}.authToken", place.path), llm.auth_token.as_ref()),
    ];
    let Some((path, token)) = at_most_one(candidates)? else {
        return Err(SpecError::invalid(own_path, "is required"));
    };
    if path != own_path {
        warnings.push(Warning::new(&path, format!("belongs under the provider, at {own_path}")));
    }
    auth_token(&path, token, place.namespace)
}

// --- overrides ---

fn overrides(place: &Place<'_>, llm: &LlmSpec, warnings: &mut Vec<Warning>) -> Result<Overrides, SpecError> {
    let host = host_override(place, llm, warnings)?;
    let path = path_override(place, llm, warnings)?;
    let header = auth_header(place, llm, warnings)?;
    let (path_of_header, header) = header.unzip();
    let auth_header_name = match header.and_then(|header| header.header_name.as_deref()) {
        Some(name) => Some(header_name(&format!("{}.headerName", path_of_header.unwrap_or_default()), name)?),
        None => None,
    };
    let auth_header_prefix = header.and_then(|header| header.prefix.clone());
    Ok(Overrides { host, path, auth_header_name, auth_header_prefix })
}

fn host_override(
    place: &Place<'_>,
    llm: &LlmSpec,
    warnings: &mut Vec<Warning>,
) -> Result<Option<HostOverride>, SpecError> {
    let own = &place.path;
    let objects = [
        (format!("{own}.hostOverride"), llm.host_override.as_ref()),
        ("spec.ai.hostOverride".to_owned(), place.beside(|spec| spec.host_override.as_ref())),
    ];
    let object = at_most_one(objects)?;
    match (object, &llm.host, llm.port) {
        (Some((path, _)), Some(_), _) | (Some((path, _)), _, Some(_)) => {
            Err(SpecError::invalid(path, format!("must not be set together with {own}.host and port")))
        }
        (None, Some(name), Some(port)) => host(&format!("{own}.host"), name, port).map(Some),
        (None, Some(_), None) => Err(SpecError::invalid(format!("{own}.port"), "is required with host")),
        (None, None, Some(_)) => Err(SpecError::invalid(format!("{own}.host"), "is required with port")),
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
    place: &Place<'_>,
    llm: &LlmSpec,
    warnings: &mut Vec<Warning>,
) -> Result<Option<PathOverride>, SpecError> {
    let own = &place.path;
    let current = llm.path.as_ref().map(|path| path.full.as_str());
    let objects = [
        (format!("{own}.pathOverride"), llm.path_override.as_ref()),
        ("spec.ai.pathOverride".to_owned(), place.beside(|spec| spec.path_override.as_ref())),
    ];
    let (path, value) = match (at_most_one(objects)?, current) {
        (None, None) => return Ok(None),
        (None, Some(full)) => (format!("{own}.path.full"), full),
        (Some((path, _)), Some(_)) => {
            return Err(SpecError::invalid(path, format!("must not be set together with {own}.path")));
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
    place: &Place<'a>,
    llm: &'a LlmSpec,
    warnings: &mut Vec<Warning>,
) -> Result<Option<(String, &'a AuthHeader)>, SpecError> {
    let own = &place.path;
    let candidates = [
        (format!("{own}.authHeader"), llm.auth_header.as_ref()),
        (format!("{own}.authHeaderOverride"), llm.auth_header_override.as_ref()),
        ("spec.ai.authHeaderOverride".to_owned(), place.beside(|spec| spec.auth_header_override.as_ref())),
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

impl<'a> Place<'a> {
    /// An override beside `llm`.
    fn beside<T>(&self, member: impl Fn(&'a AiSpec) -> Option<&'a T>) -> Option<&'a T> {
        self.misplaced.0.and_then(member)
    }
}

/// Overrides directly under `spec.ai` are a slip of published examples.
fn warn_if_misplaced(path: &str, warnings: &mut Vec<Warning>) {
    if let Some(name) = path.strip_prefix("spec.ai.").filter(|name| !name.contains(['.', '['])) {
        warnings.push(Warning::new(path, format!("belongs under llm, at spec.ai.llm.{name}")));
    }
}
