//! Kinds that cannot be read at the start, and what other replicas know of them.

use std::path::Path;

use crds::Object;

use super::*;

/// Other replicas that always give this answer, and how often they were asked.
fn others(known: Option<KnownElsewhere>) -> (Others, channel::Receiver<usize>) {
    let (others, mut questions) = Others::new();
    let (asked, count) = channel::channel(0);
    tokio::spawn(async move {
        while let Some((_, answer)) = questions.recv().await {
            asked.send_modify(|asked| *asked += 1);
            if let Some(known) = known.clone() {
                let _ = answer.send(known);
            }
        }
    });
    (others, count)
}

fn handed_on() -> impl Iterator<Item = &'static KindInfo> {
    KINDS.iter().filter(|kind| kind.id.is_handed_on())
}

fn set_fault(api: &MockApi, kind: &KindInfo, fault: Option<Fault>) {
    for version in kind.versions {
        api.set_fault(&collection_path(kind.group, version, kind.plural), fault);
    }
}

/// Objects of the translator's golden cases, of every kind that is handed on.
fn golden_objects() -> Vec<Object> {
    fn read(folder: &Path, objects: &mut Vec<Object>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, objects);
            } else if [".in.yaml", "_defaults.yaml"].iter().any(|end| path.to_str().unwrap().ends_with(end)) {
                let text = std::fs::read_to_string(&path).unwrap();
                let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
                objects.extend(
                    documents.into_iter().filter_map(|document| Some(Object::decode(document).ok()?.object)),
                );
            }
        }
    }
    let mut objects = Vec::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../translator/tests/golden"), &mut objects);
    objects.retain(|object| object.kind().is_handed_on());
    objects
}

/// A Service, which is not handed on.
fn service(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"}, "spec": {}})
}

/// One object of that kind, as it is handed on.
fn document(objects: &[Object], kind: &KindInfo, name: &str) -> Value {
    let object = objects.iter().find(|object| *object.kind().info() == *kind);
    let mut document = match object {
        Some(object) => object.to_document().unwrap(),
        None => json!({"apiVersion": kind.api_version(), "kind": kind.kind, "metadata": {}}),
    };
    document["metadata"]["name"] = name.into();
    if kind.namespaced {
        document["metadata"]["namespace"] = "default".into();
    }
    document
}

#[test]
fn what_is_handed_on_is_read_as_what_it_was() {
    let mut kinds = BTreeSet::new();
    for object in golden_objects() {
        let document = object.to_document().unwrap();
        let read = Object::decode(document).unwrap();
        assert_eq!(read.unknown_fields, [""; 0], "{}", object.object_ref());
        assert_eq!(read.object, object);
        kinds.insert(object.kind());
    }
    let without = handed_on().filter(|kind| !kinds.contains(&kind.id));
    assert_eq!(without.map(|kind| kind.kind).collect::<Vec<_>>(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_another_replica_has_read_stands_for_what_cannot_be_read_until_it_can() {
    let objects = golden_objects();
    for fault in [Fault::Status(403), Fault::Status(500), Fault::Hang] {
        for kind in handed_on() {
            let api = MockApi::new();
            api.apply(service("a"));
            let kept = api.apply(document(&objects, kind, "kept"));
            api.apply(document(&objects, kind, "new"));
            set_fault(&api, kind, Some(fault));
            let known = KnownElsewhere::Objects(vec![kept, document(&objects, kind, "gone")]);
            let mut source = start_beside(&api, others(Some(known)).0);
            let early = timeout(Duration::from_secs(9), source.updates.recv()).await;
            assert!(early.is_err(), "{} {fault:?}: a moment's failure is no reason", kind.kind);
            let taken = timeout(Duration::from_secs(40), source.updates.recv()).await;
            let update = taken.unwrap_or_else(|_| panic!("{} {fault:?}", kind.kind)).unwrap();
            let handed: Vec<_> = names(&update).into_iter().filter(|name| name.contains(kind.kind)).collect();
            assert_eq!(handed.len(), 2, "{} {fault:?}: {:?}", kind.kind, names(&update));
            assert!(names(&update).contains(&"+Service default/a".to_owned()));
            let said: Vec<_> = update.said().iter().map(ToString::to_string).collect();
            assert!(
                said.len() == 1 && said[0].contains(kind.kind) && said[0].contains("stays in use"),
                "{said:?}"
            );
            assert_eq!(*source.waiting_for.borrow(), [""; 0]);
            let label = KindLabel { kind: kind.group_kind().to_string() };
            assert_eq!(source.metrics.unreadable_kinds.get(&label).map(|gauge| gauge.get()), Some(1));
            // Their statuses are not known, so that none is written.
            assert!(source.observed.try_recv().is_err(), "{}", kind.kind);

            set_fault(&api, kind, None);
            let update = source.next().await;
            let mut changes = names(&update);
            changes.sort();
            let is_right = |sign: &str, name: &str| {
                changes.iter().any(|change| change.starts_with(sign) && change.ends_with(name))
            };
            assert!(changes.len() == 2 && is_right("+", "new") && is_right("-", "gone"), "{changes:?}");
            assert_eq!(update.said(), []);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_no_replica_has_ever_read_counts_as_empty_and_is_told() {
    let api = MockApi::new();
    api.apply(route("a", 1));
    api.set_fault(BACKENDS, Some(Fault::Status(403)));
    let mut source = start_beside(&api, others(Some(KnownElsewhere::NeverRead)).0);
    let update = source.next().await;
    assert_eq!((names(&update), update.said().len()), (vec!["+HTTPRoute default/a".to_owned()], 1));
}

#[tokio::test(start_paused = true)]
async fn where_no_replica_can_tell_the_kind_is_waited_for_and_asked_about_again() {
    let api = MockApi::new();
    api.set_fault(BACKENDS, Some(Fault::Status(403)));
    let (others, asked) = others(None);
    let mut source = start_beside(&api, others);
    assert!(source.is_silent().await);
    assert!(*asked.borrow() > 10, "{}", *asked.borrow());
}

#[tokio::test(start_paused = true)]
async fn what_is_served_and_credentials_are_never_taken_from_another_replica() {
    let mut count = 0;
    for kind in KINDS.iter().filter(|kind| handed_on().all(|handed| handed != *kind)) {
        let api = MockApi::new();
        set_fault(&api, kind, Some(Fault::Status(403)));
        let (others, asked) = others(Some(KnownElsewhere::Objects(Vec::new())));
        assert!(start_beside(&api, others).is_silent().await, "{}", kind.kind);
        assert_eq!(*asked.borrow(), 0, "{}", kind.kind);
        count += 1;
    }
    assert!(count >= 5);
}

/// An API server says that it is forbidden whether or not the kind exists.
#[tokio::test(start_paused = true)]
async fn a_forbidden_kind_that_the_cluster_does_not_have_is_absent_at_once() {
    let api = MockApi::new();
    api.apply(route("a", 1));
    api.remove_kind(BACKENDS);
    api.set_fault(BACKENDS, Some(Fault::Status(403)));
    let mut source = start(&api);
    let first = timeout(Duration::from_secs(5), source.updates.recv()).await.expect("at once").unwrap();
    assert_eq!((names(&first), first.said().len()), (vec!["+HTTPRoute default/a".to_owned()], 0));
}
