use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryResponse, DiscoveryResponse};
use http_body_util::BodyExt;
use prost::Message as _;

use super::*;
use crate::resource::Resource;
use crate::resource_type::ResourceType;
use crate::version::ResourceVersion;

fn resource(name: &str, message: &[u8]) -> Arc<Resource> {
    Arc::new(Resource::new(name, ResourceType::Cluster, message, vec![]))
}

fn response(resources: Vec<Arc<Resource>>) -> Response {
    Response { nonce: 7, ..Response::new(ResourceType::Cluster, ResourceVersion::of(b"all"), resources) }
}

async fn collect(message: Message) -> (Vec<Bytes>, HeaderMap) {
    let (sender, receiver) = mpsc::channel(1);
    sender.send(Ok(message)).await.unwrap();
    drop(sender);
    let mut body = MessageBody::new(receiver);
    let mut pieces = Vec::new();
    loop {
        match body.frame().await.expect("trailers come before the end").unwrap().into_data() {
            Ok(piece) => pieces.push(piece),
            Err(frame) => return (pieces, frame.into_trailers().unwrap()),
        }
    }
}

/// The message in the frame, after a look at its prefix.
async fn unframed(message: Message) -> Vec<u8> {
    let len = message.len();
    let (pieces, trailers) = collect(message).await;
    assert_eq!(trailers["grpc-status"], "0");
    let bytes = pieces.concat();
    assert_eq!(bytes.len(), len);
    assert_eq!(bytes[0], 0);
    assert_eq!(u32::from_be_bytes(bytes[1..5].try_into().unwrap()) as usize, len - 5);
    bytes[5..].to_vec()
}

#[tokio::test]
async fn state_of_the_world_response_decodes_to_what_it_says() {
    let message = Message::new(&response(vec![resource("a", b"one"), resource("b", b"")]), Form::Sotw);
    let decoded = DiscoveryResponse::decode(&*unframed(message.unwrap()).await).unwrap();
    assert_eq!(decoded.version_info, ResourceVersion::of(b"all").to_string());
    assert_eq!(decoded.nonce, "7");
    assert_eq!(decoded.type_url, ResourceType::Cluster.type_url());
    let bodies: Vec<_> = decoded.resources.iter().map(|any| (&*any.type_url, &*any.value)).collect();
    let url = ResourceType::Cluster.type_url();
    assert_eq!(bodies, [(url, &b"one"[..]), (url, b"")]);
}

#[tokio::test]
async fn delta_response_decodes_to_what_it_says() {
    let mut response = response(vec![resource("a", b"one")]);
    response.removed = vec!["gone".into(), "too".into()];
    let message = Message::new(&response, Form::Delta).unwrap();
    let decoded = DeltaDiscoveryResponse::decode(&*unframed(message).await).unwrap();
    assert_eq!(decoded.system_version_info, ResourceVersion::of(b"all").to_string());
    assert_eq!(decoded.nonce, "7");
    assert_eq!(decoded.removed_resources, ["gone", "too"]);
    let [resource] = &*decoded.resources else { panic!("{decoded:?}") };
    assert_eq!(resource.name, "a");
    assert_eq!(resource.version, ResourceVersion::of(b"one").to_string());
    assert_eq!(resource.resource.as_ref().unwrap().value, b"one");
}

#[tokio::test]
async fn large_resources_are_shared_and_small_ones_gathered() {
    let large = resource("large", &[1; SHARED_LEN]);
    let many: Vec<_> = (0..200).map(|i| resource(&format!("{i}"), &[2; 1000])).collect();
    let resources = [vec![large.clone()], many, vec![large.clone()]].concat();
    let message = Message::new(&response(resources.clone()), Form::Delta).unwrap();
    let (pieces, _) = collect(message).await;
    let shared = pieces.iter().filter(|piece| piece.as_ptr() == large.delta_entry().as_ptr()).count();
    assert_eq!(shared, 2, "the resource's own allocation goes out, for every stream");
    assert!(pieces.len() < 12, "{}", pieces.len());

    let again = Message::new(&response(resources), Form::Delta).unwrap();
    let decoded = DeltaDiscoveryResponse::decode(&*unframed(again).await).unwrap();
    assert_eq!(decoded.resources.len(), 202);
}

#[tokio::test]
async fn an_error_becomes_the_trailers() {
    let (sender, receiver) = mpsc::channel(1);
    sender.send(Err(Status::unavailable("later"))).await.unwrap();
    let mut body = MessageBody::new(receiver);
    let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "14");
    assert!(body.frame().await.is_none());
}
