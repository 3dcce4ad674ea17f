//! What a BackendConfigPolicy says, read into the IR's types.

use std::time::Duration;

use crds::backend_config_policy::{
    BackendConfigPolicySpec, CircuitBreakers, CommonHttpProtocolOptions, GrpcHealthCheck, HashCookie,
    HashPolicy, HealthCheck, Http1ProtocolOptions, Http2ProtocolOptions, HttpHealthCheck, HttpMethod,
    LeastRequest, LoadBalancer, Maglev, OutlierDetection, ProxyProtocolVersion, RingHash, RoundRobin,
    SameSite, SlowStart, TcpKeepalive,
};
use crds::{ObjectKey, gateway_api, header};
use ir::{
    Balancing, Breakers, ConnectionUse, HashKey, HashSource, HashTable, HealthQuestion, Http1Tuning,
    Http2Tuning, Keepalive, Outliers, ProxyProtocol, Tuning,
};
use serde_json::Value;

use crate::gateway::{path, validate};
use crate::status::{Reason, Rejection};

/// What is said of errors if nothing is (kgateway).
const ERRORS: i32 = 5;
const OUTLIER_INTERVAL: Duration = Duration::from_secs(10);
const EJECTION_TIME: Duration = Duration::from_secs(30);
const MAX_EJECTION_PERCENT: i32 = 10;

/// The windows of HTTP/2 that Envoy takes, in bytes.
const WINDOWS: std::ops::RangeInclusive<u64> = 65_535..=2_147_483_647;

/// What a policy says about a backend.
///
/// # Errors
/// A value makes no sense; with its field.
pub(super) fn read(spec: &BackendConfigPolicySpec, backend: &ObjectKey) -> Result<Tuning, Rejection> {
    let balancer = spec.load_balancer.as_deref();
    Ok(Tuning {
        connect_timeout: positive("spec.connectTimeout", spec.connect_timeout.as_deref())?,
        connection_buffer_bytes: spec
            .per_connection_buffer_limit_bytes
            .map(|bytes| count("spec.perConnectionBufferLimitBytes", bytes, 0))
            .transpose()?,
        keepalive: spec.tcp_keepalive.as_ref().map(keepalive).transpose()?,
        connections: spec
            .common_http_protocol_options
            .as_ref()
            .map(connections)
            .transpose()?
            .unwrap_or_default(),
        http1: spec.http1_protocol_options.map(http1).unwrap_or_default(),
        http2: spec.http2_protocol_options.as_ref().map(http2).transpose()?.unwrap_or_default(),
        balancing: balancer.map(balancing).transpose()?,
        panic_percent: balancer
            .and_then(|balancer| balancer.healthy_panic_threshold)
            .map(|percent| percentage("spec.loadBalancer.healthyPanicThreshold", percent))
            .transpose()?,
        merge_window: time(
            "spec.loadBalancer.updateMergeWindow",
            balancer.and_then(|balancer| balancer.update_merge_window.as_deref()),
        )?,
        closes_connections: balancer
            .and_then(|balancer| balancer.close_connections_on_host_set_change)
            .unwrap_or_default(),
        health_check: spec.health_check.as_deref().map(|check| health_check(check, backend)).transpose()?,
        outliers: spec.outlier_detection.as_ref().map(outliers).transpose()?,
        breakers: spec.circuit_breakers.as_ref().map(breakers).transpose()?.unwrap_or_default(),
        proxy_protocol: spec.upstream_proxy_protocol.map(|spec| match spec.version {
            None | Some(ProxyProtocolVersion::V1) => ProxyProtocol::V1,
            Some(ProxyProtocolVersion::V2) => ProxyProtocol::V2,
        }),
    })
}

fn keepalive(spec: &TcpKeepalive) -> Result<Keepalive, Rejection> {
    let TcpKeepalive { keep_alive_probes, keep_alive_time, keep_alive_interval } = spec;
    let seconds = |member: &str, text: &Option<String>| {
        let field = format!("spec.tcpKeepalive.{member}");
        match time(&field, text.as_deref())? {
            Some(time) if time.as_secs() == 0 || time.subsec_nanos() != 0 => {
                Err(invalid(&field, "must be whole seconds, and at least 1s"))
            }
            time => Ok(time),
        }
    };
    Ok(Keepalive {
        probes: keep_alive_probes
            .map(|probes| count("spec.tcpKeepalive.keepAliveProbes", probes, 0))
            .transpose()?,
        after: seconds("keepAliveTime", keep_alive_time)?,
        interval: seconds("keepAliveInterval", keep_alive_interval)?,
    })
}

fn connections(spec: &CommonHttpProtocolOptions) -> Result<ConnectionUse, Rejection> {
    let at = |member: &str| format!("spec.commonHttpProtocolOptions.{member}");
    let requests =
        spec.max_requests_per_connection.map(|most| count(&at("maxRequestsPerConnection"), most, 0));
    Ok(ConnectionUse {
        idle_timeout: time(&at("idleTimeout"), spec.idle_timeout.as_deref())?,
        max_duration: positive(&at("maxConnectionDuration"), spec.max_connection_duration.as_deref())?,
        max_headers: spec.max_headers_count.map(|most| count(&at("maxHeadersCount"), most, 1)).transpose()?,
        max_stream_duration: positive(&at("maxStreamDuration"), spec.max_stream_duration.as_deref())?,
        max_requests: requests.transpose()?.filter(|most| *most > 0),
    })
}

fn http1(spec: Http1ProtocolOptions) -> Http1Tuning {
    Http1Tuning {
        trailers: spec.enable_trailers.unwrap_or_default(),
        keeps_case: spec.preserve_http1_header_case.unwrap_or_default(),
        survives_errors: spec.override_stream_error_on_invalid_http_message,
    }
}

fn http2(spec: &Http2ProtocolOptions) -> Result<Http2Tuning, Rejection> {
    let at = |member: &str| format!("spec.http2ProtocolOptions.{member}");
    let window = |member: &str, size: &Option<Value>| {
        let Some(size) = size else { return Ok(None) };
        let bytes = crds::traffic_policy::bytes_of(size).filter(|bytes| WINDOWS.contains(bytes));
        let bytes = bytes.and_then(|bytes| u32::try_from(bytes).ok());
        bytes.map(Some).ok_or_else(|| invalid(&at(member), "must be from 65535 to 2147483647 bytes"))
    };
    Ok(Http2Tuning {
        stream_window: window("initialStreamWindowSize", &spec.initial_stream_window_size)?,
        connection_window: window("initialConnectionWindowSize", &spec.initial_connection_window_size)?,
        max_streams: spec
            .max_concurrent_streams
            .map(|most| count(&at("maxConcurrentStreams"), most, 1))
            .transpose()?,
        survives_errors: spec.override_stream_error_on_invalid_http_message,
    })
}

fn balancing(spec: &LoadBalancer) -> Result<Balancing, Rejection> {
    let LoadBalancer { least_request, round_robin, ring_hash, maglev, random, .. } = spec;
    let field = "spec.loadBalancer";
    match (least_request, round_robin, ring_hash, maglev, random) {
        (Some(LeastRequest { choice_count, slow_start }), None, None, None, None) => {
            let at = format!("{field}.leastRequest");
            let choices = choice_count.map(|choices| count(&format!("{at}.choiceCount"), choices, 2));
            Ok(Balancing::LeastRequest {
                choices: choices.transpose()?,
                slow_start: read_slow_start(slow_start.as_ref(), &at)?,
            })
        }
        (None, Some(RoundRobin { slow_start }), None, None, None) => {
            let slow_start = read_slow_start(slow_start.as_ref(), &format!("{field}.roundRobin"))?;
            Ok(Balancing::RoundRobin(slow_start))
        }
        (None, None, Some(ring), None, None) => read_ring(ring, &format!("{field}.ringHash")),
        (None, None, None, Some(Maglev { use_hostname_for_hashing, hash_policies }), None) => {
            Ok(Balancing::Hash {
                table: HashTable::Maglev,
                by_hostname: use_hostname_for_hashing.unwrap_or_default(),
                keys: read_keys(hash_policies, &format!("{field}.maglev"))?,
            })
        }
        (None, None, None, None, Some(_)) => Ok(Balancing::Random),
        _ => {
            let text = "exactly one of leastRequest, roundRobin, ringHash, maglev and random must be set";
            Err(invalid(field, text))
        }
    }
}

fn read_ring(spec: &RingHash, field: &str) -> Result<Balancing, Rejection> {
    let RingHash { minimum_ring_size, maximum_ring_size, use_hostname_for_hashing, hash_policies } = spec;
    let size = |member: &str, size: &Option<i64>| {
        let Some(size) = size else { return Ok(None) };
        let size = u64::try_from(*size).ok().filter(|size| (1..=8_388_608).contains(size));
        size.map(Some).ok_or_else(|| invalid(&format!("{field}.{member}"), "must be from 1 to 8388608"))
    };
    let (least, most) =
        (size("minimumRingSize", minimum_ring_size)?, size("maximumRingSize", maximum_ring_size)?);
    // Envoy takes 1024 for a minimum that is not said, and refuses a maximum below the minimum.
    if most.is_some_and(|most| most < least.unwrap_or(1024)) {
        return Err(invalid(
            &format!("{field}.maximumRingSize"),
            "is less than minimumRingSize (1024 if absent)",
        ));
    }
    Ok(Balancing::Hash {
        table: HashTable::Ring(least, most),
        by_hostname: use_hostname_for_hashing.unwrap_or_default(),
        keys: read_keys(hash_policies, field)?,
    })
}

fn read_keys(policies: &[HashPolicy], field: &str) -> Result<Vec<HashKey>, Rejection> {
    let read = |(index, policy): (usize, &HashPolicy)| {
        let field = format!("{field}.hashPolicies[{index}]");
        let HashPolicy { header, cookie, source_ip, terminal } = policy;
        let of = match (header, cookie, source_ip) {
            (Some(header), None, None) => HashSource::Header(
                header::name_token(&header.name)
                    .map_err(|error| invalid(&format!("{field}.header.name"), &error))?,
            ),
            (None, Some(cookie), None) => read_cookie(cookie, &format!("{field}.cookie"))?,
            (None, None, Some(_)) => HashSource::Address,
            _ => return Err(invalid(&field, "exactly one of header, cookie and sourceIP must be set")),
        };
        Ok(HashKey { of, is_last: terminal.unwrap_or_default() })
    };
    policies.iter().enumerate().map(read).collect()
}

fn read_cookie(spec: &HashCookie, field: &str) -> Result<HashSource, Rejection> {
    let HashCookie { name, path: cookie_path, ttl, secure, http_only, same_site } = spec;
    let at = |member: &str| format!("{field}.{member}");
    // What a cookie may be called is what a header may (RFC 6265 §4.1.1), but for the case of its letters.
    header::name_token(name).map_err(|_| invalid(&at("name"), "is not the name of a cookie"))?;
    let cookie_path = cookie_path.clone().unwrap_or_default();
    if cookie_path.contains(';') || !(cookie_path.is_empty() || path::replacement(&cookie_path).is_ok()) {
        return Err(invalid(&at("path"), "is not a path of a cookie"));
    }
    let same_site = same_site.map(|same_site| match same_site {
        SameSite::Strict => "Strict",
        SameSite::Lax => "Lax",
        SameSite::None => "None",
    });
    let flags = [("Secure", *secure == Some(true)), ("HttpOnly", *http_only == Some(true))];
    let flags =
        flags.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| (name.to_owned(), String::new()));
    let same_site = same_site.map(|value| ("SameSite".to_owned(), value.to_owned()));
    Ok(HashSource::Cookie {
        name: name.clone(),
        path: cookie_path,
        lifetime: time(&at("ttl"), ttl.as_deref())?,
        attributes: flags.chain(same_site).collect(),
    })
}

fn read_slow_start(spec: Option<&SlowStart>, field: &str) -> Result<Option<ir::SlowStart>, Rejection> {
    let Some(SlowStart { window, aggression, min_weight_percent }) = spec else { return Ok(None) };
    let at = |member: &str| format!("{field}.slowStart.{member}");
    let number = |text: &String| {
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
        number.ok_or_else(|| invalid(&at("aggression"), "is not a number above zero"))
    };
    let Some(window) = positive(&at("window"), window.as_deref())? else {
        return Err(invalid(&at("window"), "is required"));
    };
    Ok(Some(ir::SlowStart {
        window,
        aggression: aggression.as_ref().map(number).transpose()?,
        min_percent: min_weight_percent
            .map(|percent| percentage(&at("minWeightPercent"), percent))
            .transpose()?,
    }))
}

fn health_check(spec: &HealthCheck, backend: &ObjectKey) -> Result<ir::HealthCheck, Rejection> {
    let HealthCheck { timeout, interval, unhealthy_threshold, healthy_threshold, http, grpc } = spec;
    let at = |member: &str| format!("spec.healthCheck.{member}");
    let required = |member: &str, text: &str| {
        let time = positive(&at(member), Some(text))?;
        time.ok_or_else(|| invalid(&at(member), "is required"))
    };
    let own = || format!("{}.{}", backend.name.name, backend.name.namespace);
    let host = |field: &str, host: &Option<String>| match host {
        Some(host) => {
            validate::header_value(host).map(|()| host.clone()).map_err(|error| invalid(&at(field), &error))
        }
        None => Ok(own()),
    };
    let question = match (http, grpc) {
        (Some(HttpHealthCheck { host: name, path: asked, method }), None) => {
            path::replacement(asked).map_err(|error| invalid(&at("http.path"), &error))?;
            HealthQuestion::Http {
                host: host("http.host", name)?,
                path: asked.clone(),
                method: method.map(method_name),
            }
        }
        (None, Some(GrpcHealthCheck { service_name, authority })) => HealthQuestion::Grpc {
            service: service_name.clone().unwrap_or_default(),
            authority: host("grpc.authority", authority)?,
        },
        _ => return Err(invalid("spec.healthCheck", "exactly one of http and grpc must be set")),
    };
    Ok(ir::HealthCheck {
        timeout: required("timeout", timeout)?,
        interval: required("interval", interval)?,
        // Zero is the same as one: after the first.
        unhealthy: count(&at("unhealthyThreshold"), *unhealthy_threshold, 0)?.max(1),
        healthy: count(&at("healthyThreshold"), *healthy_threshold, 0)?.max(1),
        question,
    })
}

fn method_name(method: HttpMethod) -> &'static str {
    match method {
        HttpMethod::Get => "GET",
        HttpMethod::Head => "HEAD",
        HttpMethod::Post => "POST",
        HttpMethod::Put => "PUT",
        HttpMethod::Delete => "DELETE",
        HttpMethod::Options => "OPTIONS",
        HttpMethod::Trace => "TRACE",
        HttpMethod::Patch => "PATCH",
    }
}

fn outliers(spec: &OutlierDetection) -> Result<Outliers, Rejection> {
    let at = |member: &str| format!("spec.outlierDetection.{member}");
    let after = |member: &str, errors: Option<i32>, share: &str, percent: Option<i32>| {
        let errors = count(&at(member), errors.unwrap_or(ERRORS), 0)?;
        let percent = percentage(&at(share), percent.unwrap_or(100))?;
        Ok::<_, Rejection>((errors > 0).then_some((errors, percent)))
    };
    let broken = after(
        "consecutiveLocalOriginFailure",
        spec.consecutive_local_origin_failure,
        "enforcingConsecutiveLocalOriginFailure",
        spec.enforcing_consecutive_local_origin_failure,
    )?;
    let is_split = spec.split_external_local_origin_errors.unwrap_or_default();
    Ok(Outliers {
        errors: after(
            "consecutive5xx",
            spec.consecutive5xx,
            "enforcingConsecutive5xx",
            spec.enforcing_consecutive5xx,
        )?,
        broken_connections: is_split.then_some(broken),
        interval: positive(&at("interval"), spec.interval.as_deref())?.unwrap_or(OUTLIER_INTERVAL),
        time: positive(&at("baseEjectionTime"), spec.base_ejection_time.as_deref())?.unwrap_or(EJECTION_TIME),
        max_percent: percentage(
            &at("maxEjectionPercent"),
            spec.max_ejection_percent.unwrap_or(MAX_EJECTION_PERCENT),
        )?,
    })
}

fn breakers(spec: &CircuitBreakers) -> Result<Breakers, Rejection> {
    let most = |member: &str, most: Option<i32>, least: u32| {
        most.map(|most| count(&format!("spec.circuitBreakers.{member}"), most, least)).transpose()
    };
    Ok(Breakers {
        connections: most("maxConnections", spec.max_connections, 1)?,
        waiting: most("maxPendingRequests", spec.max_pending_requests, 1)?,
        requests: most("maxRequests", spec.max_requests, 1)?,
        retries: most("maxRetries", spec.max_retries, 0)?,
        tells_rest: spec.track_remaining.unwrap_or_default(),
    })
}

fn invalid(field: &str, text: &str) -> Rejection {
    Rejection::at(Reason::Invalid, field, text)
}

/// A number that is not less than `least`.
fn count(field: &str, number: i32, least: u32) -> Result<u32, Rejection> {
    let number = u32::try_from(number).ok().filter(|number| *number >= least);
    number.ok_or_else(|| invalid(field, &format!("must be at least {least}")))
}

fn percentage(field: &str, number: i32) -> Result<u32, Rejection> {
    let number = u32::try_from(number).ok().filter(|number| *number <= 100);
    number.ok_or_else(|| invalid(field, "is from 0 to 100"))
}

fn time(field: &str, text: Option<&str>) -> Result<Option<Duration>, Rejection> {
    text.map(|text| gateway_api::duration(text).map_err(|error| invalid(field, &error))).transpose()
}

/// A time that is not zero.
fn positive(field: &str, text: Option<&str>) -> Result<Option<Duration>, Rejection> {
    match time(field, text)? {
        Some(time) if time.is_zero() => Err(invalid(field, "must be at least 1ms")),
        time => Ok(time),
    }
}
