use proptest::prelude::*;

use super::*;

fn cluster(name: &str, body: &str) -> Resource {
    Resource::new(name, ResourceType::Cluster, body.as_bytes(), vec![])
}

fn needing(name: &str, needs: &[&str]) -> Resource {
    let needs = needs.iter().map(|name| (ResourceType::Secret, (*name).to_owned())).collect();
    Resource::new(name, ResourceType::Cluster, b"1", needs)
}

fn set(resource: Resource) -> ((ResourceType, Arc<str>), Option<Arc<Resource>>) {
    ((resource.resource_type(), resource.name().clone()), Some(Arc::new(resource)))
}

fn removed(name: &str) -> ((ResourceType, Arc<str>), Option<Arc<Resource>>) {
    ((ResourceType::Cluster, name.into()), None)
}

#[test]
fn version_depends_on_content_and_not_on_the_order_of_insertion() {
    let one: Snapshot = [cluster("a", "1"), cluster("b", "2")].into_iter().collect();
    let two: Snapshot = [cluster("b", "2"), cluster("a", "1")].into_iter().collect();
    let swapped: Snapshot = [cluster("a", "2"), cluster("b", "1")].into_iter().collect();
    assert!(one.same_versions(&two));
    assert_ne!(one.version(ResourceType::Cluster), swapped.version(ResourceType::Cluster));
}

#[test]
fn a_successor_knows_what_changed_and_shares_the_rest() {
    let old: Snapshot = [cluster("a", "1"), cluster("b", "1"), cluster("c", "1")].into_iter().collect();
    let changes = [removed("a"), set(cluster("b", "1")), set(cluster("c", "2")), set(cluster("d", "1"))];
    let new = old.changed(changes.into()).unwrap();
    let expected: Snapshot = [cluster("b", "1"), cluster("c", "2"), cluster("d", "1")].into_iter().collect();
    assert!(new.same_versions(&expected));
    let changed = new.changed_since(old.serial(), ResourceType::Cluster).unwrap();
    assert_eq!(changed.iter().map(|name| &**name).collect::<Vec<_>>(), ["a", "c", "d"]);
    assert_eq!(new.changed_since(old.serial(), ResourceType::Secret), Some(&[][..]));
    assert_eq!(new.changed_since(new.serial(), ResourceType::Cluster), None);
    assert_eq!(old.changed_since(0, ResourceType::Cluster), None);
    let at = |snapshot: &Snapshot| snapshot.get(ResourceType::Cluster, "b").unwrap().clone();
    assert!(Arc::ptr_eq(&at(&new), &at(&old)), "the older allocation of equal content stays");
    let same = |kind| Arc::ptr_eq(new.shared_resources(kind), old.shared_resources(kind));
    assert!(same(ResourceType::Route) && !same(ResourceType::Cluster));
}

#[test]
fn what_leads_to_equal_content_is_no_change() {
    let old: Snapshot = [needing("a", &["s"])].into_iter().collect();
    assert!(old.changed(Changes::new()).is_none());
    assert!(old.changed([set(needing("a", &["s"])), removed("b")].into()).is_none());
    let new = old.changed([set(needing("a", &["t"]))].into()).expect("its needs are other ones");
    assert!(new.same_versions(&old));
    assert!(new.is_needed(ResourceType::Secret, "t") && !new.is_needed(ResourceType::Secret, "s"));
}

#[test]
fn what_is_needed_twice_is_needed_until_nobody_does() {
    let old: Snapshot = [needing("a", &["s"]), needing("b", &["s", "t"])].into_iter().collect();
    let is_needed = |snapshot: &Snapshot, name| snapshot.is_needed(ResourceType::Secret, name);
    let one = old.changed([removed("a")].into()).unwrap();
    assert!(is_needed(&one, "s") && is_needed(&one, "t"));
    assert!(one.shares_needs(&old, ResourceType::Endpoint));
    let none = one.changed([removed("b")].into()).unwrap();
    assert!(!is_needed(&none, "s") && !is_needed(&none, "t"));
    assert!(is_needed(&old, "s"), "the older snapshot is as it was");
}

proptest! {
    /// However a snapshot came about, it equals the one that is built from what is in it.
    #[test]
    fn changes_lead_to_what_would_be_built(
        steps in prop::collection::vec(prop::collection::vec((0..200usize, 0..3u8, 0..4usize), 0..60), 1..6)
    ) {
        let mut world: BTreeMap<usize, Resource> = BTreeMap::new();
        let mut snapshot = Snapshot::default();
        for step in steps {
            let mut changes = Changes::new();
            for (i, body, need) in step {
                let name = format!("{i:03}");
                let needs = vec![(ResourceType::Secret, need.to_string())];
                let resource = Resource::new(&*name, ResourceType::Cluster, &[body], needs);
                match body {
                    0 => drop(world.remove(&i)),
                    _ => drop(world.insert(i, resource.clone())),
                }
                changes.extend([if body == 0 { removed(&name) } else { set(resource) }]);
            }
            let next = snapshot.changed(changes);
            let next = next.unwrap_or_else(|| snapshot.clone());
            let built: Snapshot = world.values().cloned().collect();
            prop_assert!(next.same_versions(&built));
            let needs = |s: &Snapshot| (0..4).map(|i| s.is_needed(ResourceType::Secret, &i.to_string())).collect::<Vec<_>>();
            prop_assert_eq!(needs(&next), needs(&built));
            let names = |s: &Snapshot| s.iter().map(|r| r.name().clone()).collect::<Vec<_>>();
            prop_assert_eq!(names(&next), names(&built));
            let rebuilt = snapshot.changed(built.changes_from(&snapshot)).unwrap_or_else(|| snapshot.clone());
            prop_assert!(rebuilt.same_versions(&next));
            prop_assert_eq!(needs(&rebuilt), needs(&next));
            snapshot = next;
        }
    }
}
