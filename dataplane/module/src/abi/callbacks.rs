//! The C functions that Envoy offers to a module, as its header `abi.h` declares them.

use std::ffi::c_void;

pub(super) type EnvoyFilter = *mut c_void;
pub(super) type EnvoyConfig = *mut c_void;

/// Bytes that Envoy owns.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct EnvoyBuffer {
    pub(super) ptr: *const u8,
    pub(super) length: usize,
}

/// A header that Envoy owns.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct EnvoyHeader {
    pub(super) key: EnvoyBuffer,
    pub(super) value: EnvoyBuffer,
}

/// Bytes that the module owns.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct ModuleBuffer {
    pub(super) ptr: *const u8,
    pub(super) length: usize,
}

/// A header that the module owns.
#[repr(C)]
pub(super) struct ModuleHeader {
    pub(super) key: ModuleBuffer,
    pub(super) value: ModuleBuffer,
}

unsafe extern "C" {
    pub(super) fn envoy_dynamic_module_callback_http_get_header(
        filter: EnvoyFilter,
        map: u32,
        key: ModuleBuffer,
        result: *mut EnvoyBuffer,
        index: usize,
        count: *mut usize,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_get_headers_size(filter: EnvoyFilter, map: u32)
    -> usize;
    pub(super) fn envoy_dynamic_module_callback_http_get_headers(
        filter: EnvoyFilter,
        map: u32,
        result: *mut EnvoyHeader,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_set_header(
        filter: EnvoyFilter,
        map: u32,
        key: ModuleBuffer,
        value: ModuleBuffer,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_get_body_chunks_size(
        filter: EnvoyFilter,
        body: u32,
    ) -> usize;
    pub(super) fn envoy_dynamic_module_callback_http_get_body_chunks(
        filter: EnvoyFilter,
        body: u32,
        result: *mut EnvoyBuffer,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_get_body_size(filter: EnvoyFilter, body: u32) -> usize;
    pub(super) fn envoy_dynamic_module_callback_http_drain_body(
        filter: EnvoyFilter,
        body: u32,
        bytes: usize,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_append_body(
        filter: EnvoyFilter,
        body: u32,
        data: ModuleBuffer,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_send_response(
        filter: EnvoyFilter,
        status: u32,
        headers: *mut ModuleHeader,
        header_count: usize,
        body: ModuleBuffer,
        details: ModuleBuffer,
    );
    pub(super) fn envoy_dynamic_module_callback_http_get_metadata_string(
        filter: EnvoyFilter,
        source: u32,
        namespace: ModuleBuffer,
        key: ModuleBuffer,
        result: *mut EnvoyBuffer,
    ) -> bool;
    // Merges a serialized `google.protobuf.Struct` into the namespace.
    pub(super) fn envoy_dynamic_module_callback_http_set_dynamic_metadata_struct(
        filter: EnvoyFilter,
        namespace: ModuleBuffer,
        serialized: ModuleBuffer,
    );
    pub(super) fn envoy_dynamic_module_callback_http_get_filter_state_bytes(
        filter: EnvoyFilter,
        key: ModuleBuffer,
        result: *mut EnvoyBuffer,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_set_filter_state_bytes(
        filter: EnvoyFilter,
        key: ModuleBuffer,
        value: ModuleBuffer,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_filter_config_define_counter(
        config: EnvoyConfig,
        name: ModuleBuffer,
        label_names: *const ModuleBuffer,
        label_count: usize,
        id: *mut usize,
    ) -> u32;
    pub(super) fn envoy_dynamic_module_callback_http_filter_config_define_histogram(
        config: EnvoyConfig,
        name: ModuleBuffer,
        label_names: *const ModuleBuffer,
        label_count: usize,
        id: *mut usize,
    ) -> u32;
    pub(super) fn envoy_dynamic_module_callback_http_filter_config_scheduler_new(
        config: EnvoyConfig,
    ) -> *mut c_void;
    pub(super) fn envoy_dynamic_module_callback_http_filter_config_scheduler_delete(scheduler: *mut c_void);
    pub(super) fn envoy_dynamic_module_callback_http_filter_config_scheduler_commit(
        scheduler: *mut c_void,
        event: u64,
    );
    pub(super) fn envoy_dynamic_module_callback_http_filter_config_http_callout(
        config: EnvoyConfig,
        id: *mut u64,
        cluster: ModuleBuffer,
        headers: *mut ModuleHeader,
        header_count: usize,
        body: ModuleBuffer,
        timeout_ms: u64,
    ) -> u32;
    pub(super) fn envoy_dynamic_module_callback_http_filter_increment_counter(
        filter: EnvoyFilter,
        id: usize,
        label_values: *const ModuleBuffer,
        label_count: usize,
        value: u64,
    ) -> u32;
    pub(super) fn envoy_dynamic_module_callback_http_filter_record_histogram_value(
        filter: EnvoyFilter,
        id: usize,
        label_values: *const ModuleBuffer,
        label_count: usize,
        value: u64,
    ) -> u32;
    pub(super) fn envoy_dynamic_module_callback_http_filter_config_increment_counter(
        config: EnvoyConfig,
        id: usize,
        label_values: *const ModuleBuffer,
        label_count: usize,
        value: u64,
    ) -> u32;
    pub(super) fn envoy_dynamic_module_callback_http_filter_config_record_histogram_value(
        config: EnvoyConfig,
        id: usize,
        label_values: *const ModuleBuffer,
        label_count: usize,
        value: u64,
    ) -> u32;
    pub(super) fn envoy_dynamic_module_callback_http_clear_route_cache(filter: EnvoyFilter);
    pub(super) fn envoy_dynamic_module_callback_http_clear_route_cluster_cache(filter: EnvoyFilter);
    pub(super) fn envoy_dynamic_module_callback_http_get_cluster_name(
        filter: EnvoyFilter,
        result: *mut EnvoyBuffer,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_filter_http_callout(
        filter: EnvoyFilter,
        id: *mut u64,
        cluster: ModuleBuffer,
        headers: *mut ModuleHeader,
        header_count: usize,
        body: ModuleBuffer,
        timeout_milliseconds: u64,
    ) -> u32;
    pub(super) fn envoy_dynamic_module_callback_http_get_buffer_limit(filter: EnvoyFilter) -> u64;
    pub(super) fn envoy_dynamic_module_callback_http_set_buffer_limit(filter: EnvoyFilter, limit: u64);
    pub(super) fn envoy_dynamic_module_callback_http_filter_continue_decoding(filter: EnvoyFilter);
    pub(super) fn envoy_dynamic_module_callback_http_filter_continue_encoding(filter: EnvoyFilter);
    pub(super) fn envoy_dynamic_module_callback_log(level: u32, message: ModuleBuffer);
}
