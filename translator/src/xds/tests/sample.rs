//! Constructors for the representation, and one gateway with a bit of everything.

use std::sync::Arc;
use std::time::Duration;

use ir::{
    Abort, Access, AuthProtocol, AuthService, AuthServiceName, Balancing, Bind, BodyMode, Breakers,
    BucketName, ClaimDemand, ClaimRule, ClaimSetName, ClaimValue, ClientHttp, ClusterIr, ClusterName,
    Clusters, Coding, Compressor, Counted, Credential, Csrf, DescriptorEntry, Destination, DirectResponse,
    Discovery, Endpoint, EscapedSlashes, Fault, FilterChainIr, FilterName, Forward, GlobalLimit, HeaderMatch,
    HeaderModifier, HostPort, HostRewrite, Hostname, HttpChain, Injected, Keepalive, KeyDemand, KeySetName,
    LimitEntry, LimitHeader, LimitService, LimitServiceName, ListenerIr, ListenerName, MessageMode,
    MirrorHost, Observability, PathMatch, PathRewrite, Processing, ProcessingMode, Processor, ProcessorName,
    Protocol, QueryParamMatch, RateLimit, Redacted, Redirect, RedirectPath, Rewrite, Rights, RightsRule,
    RouteAction, RouteAfter, RouteIr, RouteMatch, RouteName, RoutePolicy, RouteTableId, Scheme, SecretIr,
    SecretName, SecretValue, Sender, SlowStart, StringMatch, SubjectAltName, Target, TextMatch, TextPattern,
    Timeouts, TokenDemand, Transport, Trust, Tuning, UpstreamHttp, UpstreamProtocol, UpstreamTls,
};
use limit_rule::Rules;

use crate::xds::local_route::Origin;

pub(super) const CREDENTIAL: &str = "the-provider-key";

pub(super) fn service(name: &str) -> ClusterName {
    ClusterName::service("default", name, 80)
}

pub(super) fn to_cluster(weight: u32, name: ClusterName) -> Destination {
    to_rewritten(weight, name, Rewrite::default())
}

pub(super) fn to_rewritten(weight: u32, name: ClusterName, rewrite: Rewrite) -> Destination {
    let target = Target::Cluster {
        clusters: Clusters::One(name),
        request_headers: HeaderModifier::default(),
        response_headers: HeaderModifier::default(),
        rewrite,
        websocket: false,
        mirrors: Vec::new(),
        ai_policy: None,
    };
    Destination { weight, target }
}

pub(super) fn to_error(weight: u32) -> Destination {
    Destination { weight, target: Target::Respond(DirectResponse::empty(500)) }
}

pub(super) fn provider_rewrite(host: &str, path: &str) -> Rewrite {
    Rewrite {
        host: Some(HostRewrite::Literal(host.to_owned())),
        path: Some(PathRewrite::Full(path.to_owned())),
    }
}

pub(super) fn forward(destinations: Vec<Destination>) -> RouteAction {
    RouteAction::Forward(plain_forward(destinations))
}

pub(super) fn plain_forward(destinations: Vec<Destination>) -> Forward {
    Forward {
        destinations,
        rewrite: Rewrite::default(),
        timeouts: Timeouts::default(),
        retry: None,
        mirrors: Vec::new(),
        to_ai: false,
        follows: None,
        mirror_host: MirrorHost::Same,
        websocket: None,
    }
}

pub(super) fn compressor() -> Compressor {
    Compressor {
        codings: Coding::ALL.to_vec(),
        least_bytes: 100,
        content_types: vec!["text/html".to_owned()],
    }
}

pub(super) fn set(name: &str, value: &str) -> HeaderModifier {
    HeaderModifier { set: vec![(name.to_owned(), value.to_owned())], ..HeaderModifier::default() }
}

/// A route for a path prefix.
pub(super) fn route(prefix: &str, action: RouteAction) -> RouteIr {
    RouteIr {
        name: RouteName::of_match("httproute", "default", "sample", 0, 0),
        matches: RouteMatch { path: PathMatch::Prefix(prefix.to_owned()), ..RouteMatch::default() },
        request_headers: HeaderModifier::default(),
        response_headers: HeaderModifier::default(),
        cors: None,
        policy: ir::RoutePolicy::default(),
        action,
    }
}

pub(super) fn redirect_to(scheme: Option<Scheme>, host: Option<&str>, port: Option<u16>) -> Redirect {
    Redirect { scheme, host: host.map(str::to_owned), port, path: None, status: 302 }
}

/// Plain HTTP on port 80.
pub(super) const ORIGIN: Origin = Origin { scheme: Scheme::Http, port: 80 };

/// A virtual host with its routes.
#[derive(Clone)]
pub(super) struct VirtualHost {
    pub(super) hostname: Hostname,
    pub(super) routes: Vec<RouteIr>,
}

/// What one fleet of proxies gets.
#[derive(Clone)]
pub(super) struct Sample {
    pub(super) listeners: Vec<(ListenerIr, Vec<VirtualHost>)>,
    pub(super) clusters: Vec<(ClusterIr, Vec<Endpoint>)>,
    pub(super) secrets: Vec<SecretIr>,
}

pub(super) fn virtual_host(hostname: &str, routes: Vec<RouteIr>) -> VirtualHost {
    VirtualHost { hostname: Hostname::parse(hostname), routes }
}

pub(super) fn listener(port: u16) -> ListenerIr {
    let table = Arc::new(RouteTableId { port, https: None });
    let http = HttpChain {
        table,
        escaped_slashes: EscapedSlashes::default(),
        auth_filters: vec![FilterName::listener_auth(port, 0)],
        observability: Observability::default(),
        client: ClientHttp::default(),
    };
    let chain = FilterChainIr { server_name: Hostname::Any, tls: None, protocol: Protocol::Http(http) };
    ListenerIr {
        name: ListenerName::http(port),
        bind: Bind { addresses: vec!["127.0.0.1".parse().unwrap()], port },
        transport: Transport::Plain,
        chains: vec![chain],
        datagrams: Vec::new(),
    }
}

pub(super) fn plain_http(protocol: UpstreamProtocol) -> UpstreamHttp {
    UpstreamHttp::plain(protocol)
}

pub(super) fn plain_cluster(name: ClusterName) -> ClusterIr {
    let http = plain_http(UpstreamProtocol::Http1);
    ClusterIr { name, discovery: Discovery::Endpoints, tls: None, http, tuning: None }
}

pub(super) fn provider_cluster(name: ClusterName, host: &str) -> ClusterIr {
    let strings = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    ClusterIr {
        discovery: Discovery::Dns(vec![HostPort { host: host.to_owned(), port: 443 }]),
        tls: Some(UpstreamTls {
            sni: host.to_owned(),
            subject_alt_names: vec![SubjectAltName::Host(host.to_owned())],
            trust: SecretName::default_trust(),
            client_certificate: None,
        }),
        http: UpstreamHttp {
            protocol: UpstreamProtocol::Alpn,
            remove_request_headers: strings(&["authorization", "x-api-key", "x-goog-api-key", "cookie"]),
            remove_query_params: strings(&["key"]),
            remove_response_headers: strings(&["server", "set-cookie"]),
            credential: Some(Credential {
                header: "x-goog-api-key".to_owned(),
                secret: SecretName::credential(&name),
            }),
            large_messages: true,
            ..UpstreamHttp::plain(UpstreamProtocol::Alpn)
        },
        tuning: Some(tuning().into()),
        name,
    }
}

pub(super) fn endpoint(address: &str, port: u16) -> Endpoint {
    Endpoint { address: address.parse().unwrap(), port, draining: false }
}

pub(super) fn gemini() -> ClusterName {
    ClusterName::backend("default", "gemini")
}

/// A service that is asked whether requests may pass.
pub(super) fn auth_service() -> AuthService {
    AuthService {
        name: AuthServiceName::of_filter("default", 1),
        cluster: service("h2"),
        protocol: AuthProtocol::Grpc("h2.default".to_owned()),
        timeout: Duration::from_secs(1),
        headers: vec!["cookie".to_owned()],
        fails_open: false,
        chooses_route: true,
        status_on_error: 403,
        stat_prefix: None,
        percentage: 100,
        bodies_as_bytes: false,
    }
}

/// What a policy may say about a cluster, but for HTTP/2 and other ways of choosing endpoints.
fn tuning() -> Tuning {
    let slow_start =
        SlowStart { window: Duration::from_secs(1), aggression: Some(1.5), min_percent: Some(5) };
    Tuning {
        connect_timeout: Some(Duration::from_secs(1)),
        connection_buffer_bytes: Some(65_536),
        keepalive: Some(Keepalive { probes: Some(1), after: Some(Duration::from_secs(1)), interval: None }),
        balancing: Some(Balancing::LeastRequest { choices: Some(3), slow_start: Some(slow_start) }),
        panic_percent: Some(50),
        merge_window: Some(Duration::ZERO),
        closes_connections: true,
        breakers: Breakers {
            connections: Some(7),
            retries: Some(0),
            tells_rest: true,
            ..Breakers::default()
        },
        ..Tuning::default()
    }
}

/// A service that counts requests.
pub(super) fn limit_service() -> LimitService {
    LimitService {
        name: LimitServiceName::of_object("gatewayextension", "default", "limits"),
        cluster: service("h2"),
        authority: "h2.default".to_owned(),
        domain: "shop".to_owned(),
        timeout: Duration::from_secs(1),
        fails_open: false,
        tells_clients: true,
    }
}

/// What it counts, with each form of entry.
fn global_limit() -> GlobalLimit {
    let constant = DescriptorEntry::Constant { key: "a".to_owned(), value: "b%".to_owned() };
    let descriptors = vec![
        vec![constant, DescriptorEntry::Header("x-user".to_owned())],
        vec![DescriptorEntry::RemoteAddress, DescriptorEntry::Path],
    ];
    GlobalLimit { service: limit_service().name, descriptors }
}

/// A service that sees requests and answers.
pub(super) fn processor() -> Processor {
    let message = |body| MessageMode { headers: true, body, trailers: body == BodyMode::FullDuplex };
    let mode = ProcessingMode { request: message(BodyMode::Whole), response: message(BodyMode::FullDuplex) };
    Processor {
        name: ProcessorName::of_object("gatewayextension", "default", "processor"),
        cluster: service("h2"),
        authority: "h2.default".to_owned(),
        fails_open: true,
        mode,
        other_modes: Some(vec![ProcessingMode { response: message(BodyMode::None), ..mode }]),
        message_timeout: Duration::from_millis(200),
        max_message_timeout: Some(Duration::from_secs(1)),
        stat_prefix: Some("seen".to_owned()),
        route: RouteAfter::ChosenAgain,
        typed_metadata: vec!["typed".to_owned()],
        untyped_metadata: vec!["untyped".to_owned()],
        sets_lengths: true,
    }
}

/// A bit of everything.
pub(super) fn gateway() -> Sample {
    let listeners = [
        (listener(80), vec![virtual_host("", Vec::new())]),
        (
            listener(8080),
            vec![
                virtual_host("a.example.com", matches_and_edits()),
                virtual_host("*.example.com", redirects()),
                virtual_host("", forwards()),
            ],
        ),
    ];
    let endpoints = vec![
        endpoint("10.0.0.1", 80),
        Endpoint { draining: true, ..endpoint("10.0.0.2", 80) },
        endpoint("2001:db8::1", 80),
    ];
    let mut h2 = plain_cluster(service("h2"));
    h2.http.protocol = UpstreamProtocol::Http2;
    let clusters = [
        (plain_cluster(service("web")), endpoints),
        (plain_cluster(service("empty")), Vec::new()),
        (h2, vec![endpoint("10.0.0.3", 80)]),
        (provider_cluster(gemini(), "generativelanguage.googleapis.com"), Vec::new()),
    ];
    let secrets = [
        SecretIr {
            name: SecretName::credential(&gemini()),
            value: SecretValue::Credential(Redacted::new(CREDENTIAL.to_owned())),
        },
        SecretIr {
            name: SecretName::default_trust(),
            value: SecretValue::Trust(Trust::File("/etc/ssl/certs/ca-certificates.crt".to_owned())),
        },
    ];
    Sample { listeners: listeners.into(), clusters: clusters.into(), secrets: secrets.into() }
}

fn matches_and_edits() -> Vec<RouteIr> {
    let to_web = || forward(vec![to_cluster(1, service("web"))]);
    let header = |name: &str, value| HeaderMatch { name: name.to_owned(), value };
    let param = |name: &str, value| QueryParamMatch { name: name.to_owned(), value };
    let text = |text: &str| StringMatch::Exact(text.to_owned());
    let regex = |text: &str| StringMatch::Regex(text.to_owned());
    let mut all = route("/", to_web());
    let origin = |pattern, ignore_case| TextMatch { pattern, ignore_case };
    let claim = ClaimRule { path: vec!["sub".to_owned()], value: ClaimValue::Bool(true) };
    let rule = RightsRule {
        path_prefix: Some("/exact".to_owned()),
        senders: vec![Sender { provider: None, claims: vec![claim] }],
        ..RightsRule::default()
    };
    let rights = Rights { denies: true, rules: vec![("rule".to_owned(), rule)] };
    all.policy = RoutePolicy {
        shared_limits: vec![shared_limit()],
        question: None,
        access: Access {
            tokens: Some(TokenDemand::Nothing),
            rights: Some(rights.into()),
            keys: Some(KeyDemand {
                set: KeySetName::of_object("trafficpolicy", "default", "keys"),
                budgets: [(Counted::Requests, 1), (Counted::Tokens, 2), (Counted::Money, 1)].into(),
                falls_back: true,
            }),
            claims: Some(ClaimDemand {
                set: ClaimSetName::of_namespace("default"),
                payload_key: "payload".to_owned(),
                budgets: [(Counted::Requests, 1)].into(),
                falls_back: false,
            }),
            offers: Some("[]".to_owned()),
            ..Access::default()
        },
        csrf: Some(Csrf {
            per_million: 500_000,
            is_enforced: true,
            additional_origins: vec![
                origin(TextPattern::Exact("a.com".to_owned()), true),
                // Envoy refuses an expression that ignores the case.
                origin(TextPattern::Regex("b[0-9]".to_owned()), true),
            ],
        }),
        rate_limit: Some(BucketName::new("a policy", "a route")),
        global_limit: Some(global_limit()),
        max_request_bytes: Some(1024),
        decompresses_requests: Coding::ALL.to_vec(),
        compresses_responses: Some(compressor().name()),
        processing: Some(Processing {
            processor: processor().name,
            mode: processor().mode,
            may_choose_route: true,
        }),
        fault: Some(Fault {
            delay: Some(Injected { what: Duration::from_secs(1), percentage: 10 }),
            abort: Some(Injected { what: Abort::Grpc(14), percentage: 100 }),
            kbits_per_second: Some(Injected { what: 1, percentage: 100 }),
            max_active: Some(7),
        }),
    };
    all.matches = RouteMatch {
        path: PathMatch::Exact("/exact".to_owned()),
        method: Some("GET".to_owned()),
        headers: vec![header("x-a", text("1")), header("x-b", regex("2.*"))],
        query_params: vec![param("c", text("3")), param("d", regex("4.*"))],
        is_grpc: true,
    };
    let mut by_regex = route("/", to_web());
    by_regex.matches.path = PathMatch::Regex("/v[0-9]+/.*".to_owned());
    let mut edited = route("/edited", to_web());
    edited.request_headers = HeaderModifier {
        set: vec![("host".to_owned(), "b.example.com".to_owned()), ("x-set".to_owned(), "100%".to_owned())],
        add: vec![("x-add".to_owned(), "%REQ(authorization)%".to_owned())],
        remove: vec!["x-remove".to_owned(), "host".to_owned()],
    };
    edited.response_headers = HeaderModifier { remove: vec!["server".to_owned()], ..set("x-answer", "1%") };
    vec![all, by_regex, edited]
}

fn redirects() -> Vec<RouteIr> {
    let moved = Redirect {
        path: Some(RedirectPath::Prefix { from: "/old".to_owned(), to: "/".to_owned() }),
        status: 301,
        ..redirect_to(Some(Scheme::Https), None, None)
    };
    let elsewhere = Redirect {
        path: Some(RedirectPath::Full("/else".to_owned())),
        ..redirect_to(None, Some("example.org"), Some(8443))
    };
    vec![
        route("/old", RouteAction::Redirect(moved)),
        route("/there", RouteAction::Redirect(elsewhere)),
        route("/gone", RouteAction::Respond(DirectResponse::empty(410))),
    ]
}

fn forwards() -> Vec<RouteIr> {
    let rewritten = RouteAction::Forward(Forward {
        rewrite: Rewrite {
            host: None,
            path: Some(PathRewrite::Prefix { from: "/strip".to_owned(), to: "/".to_owned() }),
        },
        timeouts: Timeouts {
            request: Some(Duration::from_secs(10)),
            backend_request: Some(Duration::from_millis(500)),
            idle: Some(Duration::from_secs(60)),
        },
        ..plain_forward(vec![to_cluster(1, service("empty"))])
    });
    let google = provider_rewrite("generativelanguage.googleapis.com", "/v1beta/models/m:generateContent");
    vec![
        route("/weighted", forward(vec![to_cluster(70, service("web")), to_cluster(30, service("h2"))])),
        route(
            "/mixed",
            forward(vec![
                to_rewritten(1, gemini(), google.clone()),
                to_cluster(1, service("web")),
                to_error(1),
            ]),
        ),
        route("/gemini", forward(vec![to_rewritten(1, gemini(), google)])),
        route("/strip", rewritten),
        route("/", forward(vec![to_error(1)])),
    ]
}

/// A limit with each form of entry.
fn shared_limit() -> RateLimit {
    let (key, value) = ("key".to_owned(), "value".to_owned());
    let pattern = TextPattern::Exact(value.clone());
    let header = LimitHeader {
        name: key.clone(),
        value: Some(TextMatch { pattern, ignore_case: false }),
        is_inverted: true,
    };
    RateLimit {
        counted: Some(Counted::Tokens),
        rules: Rules { name: "a/b".to_owned(), ..Rules::default() },
        entries: vec![
            LimitEntry::Constant { key: key.clone(), value: value.clone() },
            LimitEntry::RemoteAddress,
            LimitEntry::DestinationCluster,
            LimitEntry::Header { key: key.clone(), header: "x-header".to_owned() },
            LimitEntry::HeaderMatch { value: value.clone(), is_expected: true, headers: vec![header] },
            LimitEntry::Metadata {
                key,
                namespace: "namespace".to_owned(),
                path: vec![value.clone()],
                default: Some(value),
                is_of_route: true,
            },
        ],
    }
}
