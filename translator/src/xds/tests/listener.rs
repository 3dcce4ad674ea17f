use std::net::IpAddr;

use ir::{HttpChain, ListenerIr, Protocol};
use proto::core::address::Address;
use proto::file_access_log::FileAccessLog;
use proto::hcm::HttpConnectionManager;
use proto::listener::{Listener, filter};

use super::sample::listener;
use crate::Settings;
use crate::xds::hcm::build_connection_manager;
use crate::xds::listener::build_listener;

fn addresses(ips: &[&str]) -> Vec<String> {
    let mut ir = listener(8080);
    ir.bind.addresses = ips.iter().map(|ip| ip.parse::<IpAddr>().unwrap()).collect();
    let built = build_listener(&ir, &Settings::default());
    let more = built.additional_addresses.into_iter().filter_map(|additional| additional.address);
    let show = |address: proto::core::Address| match address.address {
        Some(Address::SocketAddress(socket)) => {
            format!("{}{}", socket.address, if socket.ipv4_compat { " and IPv4" } else { "" })
        }
        other => panic!("{other:?}"),
    };
    built.address.into_iter().chain(more).map(show).collect()
}

#[test]
fn all_addresses_are_bound_and_both_families_by_the_unspecified_one() {
    assert_eq!(addresses(&["127.0.0.1"]), ["127.0.0.1"]);
    assert_eq!(addresses(&["127.0.0.1", "127.0.0.2", "::1"]), ["127.0.0.1", "127.0.0.2", "::1"]);
    assert_eq!(addresses(&["::"]), [":: and IPv4"]);
    assert_eq!(addresses(&["0.0.0.0", "::"]), ["0.0.0.0", "::"]);
}

#[test]
fn the_listener_holds_one_connection_manager_with_small_buffers() {
    let built = build_listener(&listener(8080), &Settings::default());
    assert_eq!(built.per_connection_buffer_limit_bytes, Some(proto::u32_value(32_768)));
    assert_eq!(built.max_connections_to_accept_per_socket_event, Some(proto::u32_value(1)));
    let manager = connection_manager(&built);
    assert_eq!(manager.stat_prefix, "http/8080");
    assert!(manager.upgrade_configs.is_empty());
}

#[test]
fn the_access_log_is_there_when_asked_for_and_logs_no_credential() {
    let ir = listener(8080);
    let without = Settings { access_log: None, ..Settings::default() };
    assert!(build_connection_manager(&ir, http(&ir), &without).access_log.is_empty());

    let with = Settings { access_log: Some("/dev/stderr".to_owned()), ..Settings::default() };
    let logs = build_connection_manager(&ir, http(&ir), &with).access_log;
    let [log] = logs.as_slice() else { panic!("{logs:?}") };
    let Some(proto::access_log::access_log::ConfigType::TypedConfig(any)) = &log.config_type else {
        panic!("{log:?}")
    };
    let file: FileAccessLog = proto::unpack(any).unwrap();
    assert_eq!(file.path, "/dev/stderr");
    let format = format!("{file:?}").to_ascii_lowercase();
    for forbidden in ["req(authorization", "api-key", "cookie", "%path(wq", "req(:path", "original-path"] {
        assert!(!format.contains(forbidden), "{forbidden}");
    }
    assert!(format.contains("%path(nq)%"));
}

fn http(listener: &ListenerIr) -> &HttpChain {
    let Protocol::Http(http) = &listener.chains[0].protocol else { panic!("it speaks HTTP") };
    http
}

fn connection_manager(listener: &Listener) -> HttpConnectionManager {
    match &listener.filter_chains[0].filters[0].config_type {
        Some(filter::ConfigType::TypedConfig(any)) => proto::unpack(any).unwrap(),
        other => panic!("{other:?}"),
    }
}
