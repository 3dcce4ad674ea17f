//! What policies ask for requests to any backend: read into the IR's types, and merged field by field.

use crds::policy::http::{
    AbortContent, CompressorContent, CsrfContent, FaultContent, FollowContent, HttpContent, Injected, Limit,
    PathContent, PathRegex, RetryContent, Setting, TextMatch, TextPattern, TokenBucket, Written,
};
use crds::traffic_policy::CompressionLibrary;
use crds::{Kind, KindInfo, NamespacedName, ObjectKey};
use ir::{
    Abort, BucketName, Coding, Compressor, Csrf, DirectResponse, Fault, FilterPart, FollowedRedirects,
    HeaderModifier, HostRewrite, Mirror, MirrorHost, PathRewrite, RateLimit, RoutePolicy,
};

use super::Applied;
use super::chain::Level;
use super::identity::{self, MergedIdentity};
use super::merge::Merge;
use crate::gateway::facts::{
    Asked, AskedLimit, AskedProcessor, BackendKey, FaceQuestion, HttpPolicy, Place, PolicyEffect,
    PolicyMirror, PolicyPath, RouteKey, gateway_ref,
};
use crate::gateway::header_modifier::{self, Direction};
use crate::gateway::view::View;
use crate::gateway::{cors, limit_service, mirror, path, processor, rate_limit, validate};
use crate::reference_grant::Party;
use crate::status::{Detail, Reason, Rejection};

/// The names of fields that a rule of a route may say itself. What it says is more specific than any policy.
pub(in crate::gateway) mod own_fields {
    pub(in crate::gateway) const REQUEST_TIMEOUT: &str = "timeouts.request";
    pub(in crate::gateway) const RETRY: &str = "retry";
    pub(in crate::gateway) const CORS: &str = "cors";
    pub(in crate::gateway) const EXT_AUTH: &str = "extAuth";
    pub(in crate::gateway) const PATH: &str = "urlRewrite.pathRegex";
}

/// The name of the field by which redirects are followed.
const FOLLOWS: &str = "internalRedirect";

/// The name of the field by which connections become WebSockets.
const UPGRADES: &str = "upgrades";

/// Reads what a policy says. What is left out of it, since it refers to what cannot be used, is added to `faults`.
///
/// # Errors
/// A value is not possible; nothing that the policy applies to can be served then.
pub(super) fn read(
    view: &impl View,
    policy: &ObjectKey,
    content: &HttpContent,
    faults: &mut Vec<Detail>,
) -> Result<HttpPolicy, Rejection> {
    let HttpContent {
        request_timeout,
        idle_timeout,
        retry,
        request_headers,
        auto_host_rewrite,
        host_rewrite,
        response_headers,
        cors,
        csrf,
        buffer,
        rate_limit,
        shared_limits,
        global_limit,
        processing,
        compresses_responses,
        decompresses_requests,
        fault,
        path_rewrite,
        follow,
        mirror,
        mirror_host,
        websocket,
    } = content;
    let edits = |modifier: &Option<Written<_>>, direction| {
        let Some(Written { field, value }) = modifier else { return Ok((None, None)) };
        let (edits, host) = header_modifier::read(value, direction, field)?;
        Ok((Some(edits), host))
    };
    let (request_headers, host) = edits(request_headers, Direction::Request)?;
    let (response_headers, _) = edits(response_headers, Direction::Response)?;
    let cors = cors.as_ref().map(|setting| match setting {
        Setting::Off => Ok(Setting::Off),
        Setting::On(Written { field, value }) => cors::read(value, field).map(Setting::On),
    });
    let bucket = |TokenBucket { max_tokens, tokens_per_fill, fill_interval }| ir::TokenBucket {
        max_tokens,
        tokens_per_fill,
        fill_interval,
    };
    Ok(HttpPolicy {
        request_timeout: *request_timeout,
        idle_timeout: *idle_timeout,
        retry: retry.clone(),
        request_headers,
        host,
        auto_host_rewrite: *auto_host_rewrite,
        host_rewrite: host_rewrite.as_ref().map(read_host).transpose()?,
        response_headers,
        cors: cors.transpose()?,
        csrf: csrf.as_ref().map(read_csrf).transpose()?,
        buffer: *buffer,
        rate_limit: rate_limit.map(|setting| match setting {
            Setting::Off => Setting::Off,
            Setting::On(tokens) => Setting::On(bucket(tokens)),
        }),
        shared_limits: shared_limits
            .as_ref()
            .map(|configs| read_limits(view, policy, configs))
            .transpose()?,
        global_limit: global_limit
            .as_ref()
            .map(|question| limit_service::read(view, policy, question))
            .transpose()?,
        processing: processing.as_ref().map(|content| processor::read(view, policy, content)).transpose()?,
        compresses_responses: compresses_responses.as_ref().map(|setting| match setting {
            Setting::Off => Setting::Off,
            Setting::On(content) => Setting::On(read_compressor(content).into()),
        }),
        decompresses_requests: decompresses_requests.as_ref().map(|setting| match setting {
            Setting::Off => Setting::Off,
            Setting::On(libraries) => Setting::On(codings(libraries)),
        }),
        fault: fault.as_ref().map(|setting| match setting {
            Setting::Off => Setting::Off,
            Setting::On(content) => Setting::On(read_fault(content)),
        }),
        path: path_rewrite.as_ref().map(read_path).transpose()?,
        follows: follow.as_ref().map(read_follow),
        mirror: mirror.as_ref().and_then(|mirror| mirror::of_policy(view, policy, mirror, faults)),
        mirror_host: mirror_host.as_ref().map(mirror::host).transpose()?,
        websocket: *websocket,
    })
}

fn read_compressor(
    CompressorContent { libraries, least_bytes, content_types }: &CompressorContent,
) -> Compressor {
    Compressor {
        codings: codings(libraries),
        least_bytes: *least_bytes,
        content_types: content_types.clone(),
    }
}

fn codings(libraries: &[CompressionLibrary]) -> Vec<Coding> {
    let coding = |library: &CompressionLibrary| match library {
        CompressionLibrary::Brotli => Coding::Brotli,
        CompressionLibrary::Gzip => Coding::Gzip,
        CompressionLibrary::Zstd => Coding::Zstd,
    };
    libraries.iter().map(coding).collect()
}

fn read_fault(FaultContent { delay, abort, kbits_per_second, max_active }: &FaultContent) -> Fault {
    let abort_of = |content| match content {
        AbortContent::Http(status) => Abort::Http(status),
        AbortContent::Grpc(status) => Abort::Grpc(status),
    };
    Fault {
        delay: delay.map(|Injected { what, percentage }| ir::Injected { what, percentage }),
        abort: abort.map(|Injected { what, percentage }| ir::Injected { what: abort_of(what), percentage }),
        kbits_per_second: kbits_per_second
            .map(|Injected { what, percentage }| ir::Injected { what, percentage }),
        max_active: *max_active,
    }
}

fn read_follow(
    FollowContent { codes, crosses_schemes, copied_headers, max }: &FollowContent,
) -> FollowedRedirects {
    FollowedRedirects {
        codes: codes.clone(),
        crosses_schemes: *crosses_schemes,
        copied_headers: copied_headers.clone(),
        max: *max,
    }
}

/// A host that stands in place of another.
///
/// # Errors
/// It is none.
pub(in crate::gateway) fn read_host(Written { field, value }: &Written<String>) -> Result<String, Rejection> {
    let read = validate::exact_hostname(value).map(|_| value.clone());
    read.map_err(|error| Rejection::at(Reason::Invalid, field, error))
}

fn read_path(Written { field, value }: &Written<PathContent>) -> Result<PolicyPath, Rejection> {
    let PathRegex { pattern, substitution } = match value {
        PathContent::Regex(regex) => regex,
        PathContent::Prefix(to) => {
            let read = path::replacement(to).map(|()| PolicyPath::Matched(to.clone()));
            return read.map_err(|error| Rejection::at(Reason::Invalid, field, error));
        }
    };
    let at = |member: &str, text: String| Rejection::at(Reason::Invalid, format!("{field}.{member}"), text);
    let groups = validate::regex(pattern).map_err(|error| at("pattern", error))?;
    path::substitution(substitution, groups).map_err(|error| at("substitution", error))?;
    let (pattern, substitution) = (pattern.clone(), substitution.clone());
    Ok(PolicyPath::Whole(PathRewrite::Regex { pattern, substitution }))
}

/// The limits of RateLimitConfigs.
fn read_limits(
    view: &impl View,
    policy: &ObjectKey,
    Written { field, value }: &Written<Vec<NamespacedName>>,
) -> Result<Vec<RateLimit>, Rejection> {
    let party = |kind: &KindInfo, namespace: &str| Party::new(kind.group, kind.kind, namespace);
    let mut all = Vec::new();
    for (index, name) in value.iter().enumerate() {
        let from = party(policy.kind.info(), &policy.name.namespace);
        let to = party(Kind::RateLimitConfig.info(), &name.namespace);
        let limits = view.permitted(&from, &to, &name.name).and_then(|()| rate_limit::of_config(view, name));
        all.extend(limits.map_err(|rejection| rejection.within(&format!("{field}[{index}]")))?);
    }
    Ok(all)
}

fn read_csrf(Written { field, value }: &Written<CsrfContent>) -> Result<Csrf, Rejection> {
    let CsrfContent { per_million, is_enforced, additional_origins } = value;
    let origins = additional_origins.iter().enumerate();
    let origins =
        origins.map(|(index, origin)| text_match(origin, &format!("{field}.additionalOrigins[{index}]")));
    Ok(Csrf {
        per_million: *per_million,
        is_enforced: *is_enforced,
        additional_origins: origins.collect::<Result<_, _>>()?,
    })
}

/// What a text must be like.
///
/// # Errors
/// It fits everything, or is an expression that Envoy does not take.
pub(in crate::gateway) fn text_match(
    TextMatch { pattern, ignore_case }: &TextMatch,
    field: &str,
) -> Result<ir::TextMatch, Rejection> {
    let refuse = |message: String| Rejection::at(Reason::Invalid, field, message);
    let some = |text: &String| match text.is_empty() {
        true => Err(refuse("an empty text fits everything".to_owned())),
        false => Ok(text.clone()),
    };
    let pattern = match pattern {
        TextPattern::Exact(text) => ir::TextPattern::Exact(text.clone()),
        TextPattern::Prefix(text) => ir::TextPattern::Prefix(some(text)?),
        TextPattern::Suffix(text) => ir::TextPattern::Suffix(some(text)?),
        TextPattern::Contains(text) => ir::TextPattern::Contains(some(text)?),
        TextPattern::Regex(text) => {
            validate::regex(text).map_err(refuse)?;
            ir::TextPattern::Regex(some(text)?)
        }
    };
    Ok(ir::TextMatch { pattern, ignore_case: *ignore_case })
}

/// What the policies of a rule come to.
#[derive(Debug, Default)]
pub(in crate::gateway) struct MergedHttp {
    pub request_timeout: Option<Limit>,
    pub idle_timeout: Option<Limit>,
    pub retry: Option<RetryContent>,
    /// Which redirects are followed.
    pub follows: Option<FollowedRedirects>,
    /// The fields that have no effect on AI backends, with the policies that they are from.
    pub not_for_ai: Vec<(&'static str, ObjectKey)>,
    pub request_headers: HeaderModifier,
    /// The `Host` to send. One that edits of headers set counts before the endpoint's name.
    pub host: Option<HostRewrite>,
    /// What the path becomes.
    pub path: Option<PolicyPath>,
    /// Where copies go, beside those of the rule.
    pub mirror: Option<Mirror>,
    /// The `Host` of all copies.
    pub mirror_host: MirrorHost,
    /// Whether connections may become WebSockets.
    pub websocket: Option<bool>,
    pub response_headers: HeaderModifier,
    pub cors: Option<ir::Cors>,
    pub policy: RoutePolicy,
    /// What requests are answered with, in place of all else that the rule says.
    pub answer: Option<DirectResponse>,
    /// What the filters of the Gateways need for `policy`.
    pub parts: Vec<FilterPart>,
    /// The backends that these filters ask.
    pub backends: Vec<BackendKey>,
    /// What there is to tell about each policy.
    pub effects: Vec<(ObjectKey, PolicyEffect)>,
}

/// What policies come to, the most specific first, for a rule that says some fields itself.
pub(in crate::gateway) fn merged(
    chain: &[Applied],
    own: &[&str],
    route: &RouteKey,
    rule: usize,
    place: Option<&Place>,
) -> MergedHttp {
    let mut merge = Merge::of("");
    own.iter().for_each(|field| merge.yield_to(route, field));
    let mut all = HttpPolicy::default();
    let mut out = MergedHttp::default();
    for Applied { face, level } in chain {
        let (policy, said) = (&face.key, &face.http);
        merge.take(policy, own_fields::REQUEST_TIMEOUT, &said.request_timeout, &mut all.request_timeout);
        merge.take(policy, "timeouts.streamIdle", &said.idle_timeout, &mut all.idle_timeout);
        if said.retry.is_some() && merge.wins(policy, own_fields::RETRY) {
            all.retry.clone_from(&said.retry);
            out.not_for_ai.push((own_fields::RETRY, policy.clone()));
        }
        if said.follows.is_some() && merge.wins(policy, FOLLOWS) {
            out.follows.clone_from(&said.follows);
            out.not_for_ai.push((FOLLOWS, policy.clone()));
        }
        if said.websocket.is_some() && merge.wins(policy, UPGRADES) {
            out.websocket = said.websocket;
            if said.websocket == Some(true) {
                out.not_for_ai.push((UPGRADES, policy.clone()));
            }
        }
        merge.take(policy, "shadowing", &said.mirror, &mut all.mirror);
        merge.take(policy, "requestMirror", &said.mirror_host, &mut all.mirror_host);
        if said.request_headers.is_some() && merge.wins(policy, "headerModifiers.request") {
            all.request_headers.clone_from(&said.request_headers);
            all.host.clone_from(&said.host);
        }
        merge.take(policy, "autoHostRewrite", &said.auto_host_rewrite, &mut all.auto_host_rewrite);
        merge.take(policy, "hostRewrite", &said.host_rewrite, &mut all.host_rewrite);
        merge.take(policy, "headerModifiers.response", &said.response_headers, &mut all.response_headers);
        merge.take(policy, own_fields::CORS, &said.cors, &mut all.cors);
        merge.take(policy, "csrf", &said.csrf, &mut all.csrf);
        merge.take(policy, "buffer", &said.buffer, &mut all.buffer);
        merge.take(policy, "rateLimitConfigs", &said.shared_limits, &mut all.shared_limits);
        merge.take(policy, "rateLimit.global", &said.global_limit, &mut all.global_limit);
        merge.take(policy, "extProc", &said.processing, &mut all.processing);
        let (response, request) = (&said.compresses_responses, &said.decompresses_requests);
        merge.take(policy, "compression.responseCompression", response, &mut all.compresses_responses);
        merge.take(policy, "compression.requestDecompression", request, &mut all.decompresses_requests);
        merge.take(policy, "faultInjection", &said.fault, &mut all.fault);
        merge.take(policy, own_fields::PATH, &said.path, &mut all.path);
        if let Some(setting) = &said.rate_limit
            && merge.wins(policy, "rateLimit.local")
            && let Setting::On(tokens) = setting
        {
            let name = bucket_name(policy, *level, route, rule, place);
            out.policy.rate_limit = Some(name.clone());
            out.parts.push(FilterPart::Bucket(name, *tokens));
        }
    }
    for Applied { face, .. } in chain {
        if let Some(answer) = &face.answer
            && merge.wins(&face.key, "status")
        {
            out.answer = Some(answer.clone());
        }
        if let Some(question) = &face.ext_auth
            && merge.wins(&face.key, own_fields::EXT_AUTH)
            && let FaceQuestion::Asked(asked) = question
        {
            out.ask(asked.clone());
        }
    }
    let MergedIdentity { access, tokens, keys, backends, lists, foreign_headers } =
        identity::merged(chain, &mut merge);
    out.parts.extend(lists);
    let foreign =
        HeaderModifier { remove: foreign_headers.into_iter().collect(), ..HeaderModifier::default() };
    out.policy.access = access;
    out.parts.extend(tokens.map(FilterPart::Tokens).into_iter().chain(keys.map(FilterPart::Keys)));
    out.backends.extend(backends);
    out.effects = merge.effects();
    // Every field by its name, so that none is merged and then forgotten. The bucket of the local limit, the redirects and the
    // upgrades are in `out` already.
    let HttpPolicy {
        request_timeout,
        idle_timeout,
        retry,
        request_headers,
        host,
        auto_host_rewrite,
        host_rewrite,
        response_headers,
        cors,
        csrf,
        buffer,
        rate_limit: _,
        shared_limits,
        global_limit,
        processing,
        compresses_responses,
        decompresses_requests,
        fault,
        path,
        follows: _,
        mirror,
        mirror_host,
        websocket: _,
    } = all;
    let by_endpoint = auto_host_rewrite.unwrap_or_default().then_some(HostRewrite::OfEndpoint);
    out.policy.csrf = csrf;
    out.policy.max_request_bytes = on(buffer);
    out.policy.shared_limits = shared_limits.unwrap_or_default();
    out.policy.decompresses_requests = on(decompresses_requests).unwrap_or_default();
    if let Some(compressor) = on(compresses_responses) {
        out.policy.compresses_responses = Some(compressor.name());
        out.parts.push(FilterPart::Compressor(compressor));
    }
    out.policy.fault = on(fault);
    if let Some(PolicyMirror { mirror, backend }) = mirror {
        out.mirror = Some(mirror);
        out.backends.push(backend);
    }
    on(global_limit).into_iter().for_each(|asked| out.count(asked));
    on(processing).into_iter().for_each(|asked| out.process(asked));
    MergedHttp {
        request_timeout,
        idle_timeout,
        retry,
        host: host.or(host_rewrite).map(HostRewrite::Literal).or(by_endpoint),
        request_headers: foreign.followed_by(&request_headers.unwrap_or_default()),
        response_headers: response_headers.unwrap_or_default(),
        cors: on(cors),
        path,
        mirror_host: mirror_host.unwrap_or_default(),
        ..out
    }
}

impl MergedHttp {
    /// Has a service asked.
    pub(in crate::gateway) fn ask(&mut self, Asked { question, service, backend }: Asked) {
        self.policy.question = Some(question);
        self.parts.push(FilterPart::Auth(service));
        self.backends.push(backend);
    }

    /// Has a service count.
    fn count(&mut self, AskedLimit { limit, service, backend }: AskedLimit) {
        self.policy.global_limit = Some(limit);
        self.parts.push(FilterPart::LimitService(service));
        self.backends.push(backend);
    }

    /// Has a service see messages.
    fn process(&mut self, AskedProcessor { processing, service, backend }: AskedProcessor) {
        self.policy.processing = Some(processing);
        self.parts.push(FilterPart::Processor(service));
        self.backends.push(backend);
    }
}

fn on<T>(setting: Option<Setting<T>>) -> Option<T> {
    match setting {
        Some(Setting::On(value)) => Some(value),
        Some(Setting::Off) | None => None,
    }
}

/// The bucket of a policy: one for each object, or part of it, that the policy applies to.
fn bucket_name(
    policy: &ObjectKey,
    level: Level,
    route: &RouteKey,
    rule: usize,
    place: Option<&Place>,
) -> BucketName {
    let applies_to = match (level, place) {
        (Level::BackendRef | Level::RuleFilter | Level::Rule, _) => format!("{} rule {rule}", route.to_ref()),
        (Level::Listener, Some(Place { gateway, listener: Some(listener) })) => {
            format!("{} listener {listener}", gateway_ref(gateway))
        }
        (Level::Gateway | Level::Listener, Some(Place { gateway, .. })) => gateway_ref(gateway).to_string(),
        (Level::Route | Level::Gateway | Level::Listener, _) => route.to_ref().to_string(),
    };
    BucketName::new(&policy.to_ref().to_string(), &applies_to)
}
