//! `gloo.solo.io` Upstream.

use super::{
    AiDestination, AiGroup, AiPool, AuthToken, Canonical, HostOverride, Overrides, PathOverride, Provider,
    Schema, SpecError, StaticBackendSpec, StaticEndpoint, Target,
    field::{auth_token, bare_host, base_path, exactly_one, full_path, host, optional, secret_reference},
    provider,
};
use crate::{
    auth_token::AuthTokenSpec,
    backend_provider::{AzureOpenAiSpec, VertexAiSpec},
    upstream::{
        AwsCredentialProvider, AwsInlineCredential, CustomHost, CustomPath, JsonBodySchema, NamedProvider,
        UpstreamAiSpec, UpstreamMultiSpec, UpstreamPoolMemberSpec, UpstreamPoolSpec, UpstreamProvider,
        UpstreamSpec, UpstreamStaticSpec,
    },
};

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
        (Some(ai), _) => Target::Ai(canonical_ai(ai, namespace)?),
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

fn canonical_ai(spec: &UpstreamAiSpec, namespace: &str) -> Result<AiPool, SpecError> {
    let members = spec.providers();
    if let Some(multi) = &spec.multi {
        if let Some((name, _)) = members.iter().find(|(_, member)| member.is_some()) {
            let message = "must not be set together with spec.ai.multi";
            return Err(SpecError::invalid(format!("spec.ai.{name}"), message));
        }
        return pool(multi, namespace);
    }
    destination("spec.ai", members, namespace).map(AiPool::from)
}

fn pool(spec: &UpstreamMultiSpec, namespace: &str) -> Result<AiPool, SpecError> {
    let path = "spec.ai.multi.priorities";
    if spec.priorities.is_empty() {
        return Err(SpecError::invalid(path, "must hold at least one pool"));
    }
    let group = |(index, pool): (usize, &UpstreamPoolSpec)| {
        let path = format!("{path}[{index}].pool");
        if pool.pool.is_empty() {
            return Err(SpecError::invalid(path, "must hold at least one provider"));
        }
        let member = |(index, member): (usize, &UpstreamPoolMemberSpec)| {
            destination(&format!("{path}[{index}]"), member.providers(), namespace)
        };
        Ok(AiGroup { destinations: pool.pool.iter().enumerate().map(member).collect::<Result<_, _>>()? })
    };
    Ok(AiPool { groups: spec.priorities.iter().enumerate().map(group).collect::<Result<_, _>>()? })
}

fn destination(
    parent: &str,
    members: [NamedProvider<'_>; 7],
    namespace: &str,
) -> Result<AiDestination, SpecError> {
    let (name, member) = exactly_one(parent, "provider", members)?;
    let path = format!("{parent}.{name}");
    let (token, custom_host) = member.token_and_host();
    let auth = match member {
        UpstreamProvider::Bedrock(spec) => {
            aws_auth(&format!("{path}.credentialProvider"), spec.credential_provider.as_ref(), namespace)?
        }
        _ => {
            let token_path = format!("{path}.authToken");
            let token = token.ok_or_else(|| SpecError::invalid(&token_path, "is required"))?;
            auth_token(&token_path, token, namespace)?
        }
    };
    let overrides = match custom_host {
        Some(custom) => overrides(&format!("{path}.customHost"), custom)?,
        None => Overrides::default(),
    };
    Ok(AiDestination { name: None, provider: member.provider(&path)?, auth, overrides })
}

impl<'a> UpstreamProvider<'a> {
    fn token_and_host(self) -> (Option<&'a AuthTokenSpec>, Option<&'a CustomHost>) {
        let (token, host) = match self {
            Self::OpenAi(spec) | Self::Mistral(spec) => (&spec.auth_token, &spec.custom_host),
            Self::Gemini(spec) => (&spec.auth_token, &spec.custom_host),
            Self::AzureOpenAi(spec) => (&spec.auth_token, &spec.custom_host),
            Self::Anthropic(spec) => (&spec.auth_token, &spec.custom_host),
            Self::VertexAi(spec) => (&spec.auth_token, &spec.custom_host),
            Self::Bedrock(spec) => (&None, &spec.custom_host),
        };
        (token.as_ref(), host.as_ref())
    }

    fn provider(self, path: &str) -> Result<Provider, SpecError> {
        match self {
            Self::OpenAi(spec) => Ok(Provider::OpenAi { model: optional(spec.model.as_ref()) }),
            Self::Mistral(spec) => Ok(Provider::Mistral { model: optional(spec.model.as_ref()) }),
            Self::Gemini(spec) => provider::gemini(path, spec.model.as_deref(), spec.api_version.as_deref()),
            Self::AzureOpenAi(spec) => {
                let spec = AzureOpenAiSpec {
                    auth_token: None,
                    endpoint: spec.endpoint.clone(),
                    deployment_name: spec.deployment_name.clone(),
                    api_version: spec.api_version.clone(),
                };
                provider::azure(path, &spec)
            }
            Self::Anthropic(spec) => {
                provider::anthropic(&format!("{path}.version"), spec.version.as_ref(), spec.model.as_ref())
            }
            Self::VertexAi(spec) => {
                let schema = match spec.json_schema {
                    None | Some(JsonBodySchema::NOT_SET | JsonBodySchema::GEMINI) => Schema::Gemini,
                    Some(JsonBodySchema::ANTHROPIC) => Schema::Anthropic,
                    Some(JsonBodySchema::OPENAI) => Schema::OpenAi,
                };
                let spec = VertexAiSpec {
                    auth_token: None,
                    model: spec.model.clone(),
                    api_version: spec.api_version.clone(),
                    project_id: spec.project_id.clone(),
                    location: spec.location.clone(),
                    model_path: spec.model_path.clone(),
                    publisher: spec.publisher,
                };
                provider::vertex(path, &spec, schema)
            }
            Self::Bedrock(spec) => provider::bedrock(path, spec.model.as_deref(), spec.region.as_ref(), None),
        }
    }
}

fn aws_auth(
    path: &str,
    source: Option<&AwsCredentialProvider>,
    namespace: &str,
) -> Result<AuthToken, SpecError> {
    let source = source.ok_or_else(|| SpecError::invalid(path, "is required"))?;
    let AwsCredentialProvider { secret_ref, inline } = source;
    match (secret_ref, inline) {
        (Some(secret), None) => {
            secret_reference(&format!("{path}.secretRef"), secret, namespace).map(AuthToken::AwsSecretRef)
        }
        (None, Some(AwsInlineCredential { access_key_id, secret_access_key, session_token })) => {
            let path = format!("{path}.inline");
            provider::aws_inline(&path, access_key_id, secret_access_key, session_token.as_ref())
                .map(AuthToken::AwsInline)
        }
        _ => Err(SpecError::invalid(path, "exactly one of secretRef and inline must be set")),
    }
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
