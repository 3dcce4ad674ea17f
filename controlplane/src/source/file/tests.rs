use std::fs;
use std::path::Path;

use crds::gateway_api::part::FilterMember;

use super::*;

fn backend(name: &str, host: &str) -> String {
    format!(
        "apiVersion: gateway.kgateway.dev/v1alpha1\nkind: Backend\nmetadata: {{name: {name}}}\n\
         spec:\n  type: Static\n  static:\n    hosts:\n    - host: {host}\n      port: 80\n"
    )
}

fn secret(name: &str, key: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {{Authorization: {key}}}\n"
    )
}

fn join(documents: &[String]) -> String {
    documents.join("---\n")
}

struct Folder {
    root: tempfile::TempDir,
    source: FileSource,
}

impl Folder {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let source = FileSource::new(&[root.path().to_owned()]).unwrap();
        Self { root, source }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn save(&mut self, name: &str, text: &str) -> Update {
        fs::write(self.path(name), text).unwrap();
        self.source.read()
    }

    /// The objects in use.
    fn names(&self) -> Vec<String> {
        self.source.objects.keys().map(ToString::to_string).collect()
    }

    /// The findings with the file names as the test wrote them.
    fn findings(&self, update: &Update) -> Vec<String> {
        let root = format!("{}/", self.root.path().display());
        update.said().iter().map(|finding| finding.to_string().replace(&root, "")).collect()
    }
}

fn deleted(update: &Update) -> Vec<String> {
    let delete = |change: &Change| match change {
        Change::Delete(object) => Some(object.to_string()),
        Change::Apply(_) => None,
    };
    update.changes.iter().filter_map(delete).collect()
}

#[test]
fn an_update_holds_what_changed_and_nothing_else() {
    let mut folder = Folder::new();
    let first = folder.save("a.yaml", &join(&[backend("one", "a.test"), backend("two", "a.test")]));
    assert_eq!(first.changes.len(), 2);
    let second = folder.save("a.yaml", &join(&[backend("one", "b.test"), backend("two", "a.test")]));
    assert!(matches!(&second.changes[..], [Change::Apply(object)] if object.object_ref().name == "one"));
    let comment = folder
        .save("a.yaml", &join(&["# x\n".to_owned() + &backend("one", "b.test"), backend("two", "a.test")]));
    assert_eq!(comment, Update::default());
}

#[test]
fn an_object_goes_with_its_document_and_with_its_file() {
    let mut folder = Folder::new();
    folder.save("a.yaml", &join(&[backend("one", "a.test"), backend("two", "a.test")]));
    assert_eq!(deleted(&folder.save("a.yaml", &backend("two", "a.test"))), ["Backend default/one"]);
    fs::remove_file(folder.path("a.yaml")).unwrap();
    assert_eq!(deleted(&folder.source.read()), ["Backend default/two"]);
}

#[test]
fn a_broken_document_leaves_the_rest_of_its_file_and_other_files() {
    let mut folder = Folder::new();
    folder.save("b.yaml", &backend("other", "a.test"));
    let update = folder
        .save("a.yaml", &join(&[backend("one", "a.test"), "kind: [\n".to_owned(), backend("two", "a.test")]));
    assert_eq!(folder.names(), ["Backend default/one", "Backend default/other", "Backend default/two"]);
    let findings = folder.findings(&update);
    assert!(
        findings[0].starts_with("a.yaml:1") && findings[0].contains(": document 2: not valid YAML"),
        "{findings:?}"
    );
    assert_eq!(findings.len(), 1);
}

#[test]
fn while_a_document_is_broken_nothing_of_its_file_goes_away() {
    let mut folder = Folder::new();
    folder.save("a.yaml", &join(&[backend("one", "a.test"), backend("two", "a.test")]));
    let update = folder.save("a.yaml", &join(&[backend("one", "b.test"), "kind: [\n".to_owned()]));
    assert_eq!(folder.names(), ["Backend default/one", "Backend default/two"]);
    assert_eq!(update.changes.len(), 1, "the good document is taken");
    let repaired = folder.save("a.yaml", &backend("one", "b.test"));
    assert_eq!(deleted(&repaired), ["Backend default/two"]);
    assert_eq!(repaired.said(), []);
}

#[test]
fn an_object_with_an_unknown_field_or_a_wrong_type_keeps_its_last_good_version() {
    let good = backend("one", "a.test");
    let rows = [
        (
            good.replace("host: a.test", "host: b.test\n      hots: c"),
            "spec.static.hosts[0].hots: unknown field",
        ),
        (good.replace("port: 80", "port: eighty"), "spec.static.hosts[0].port: "),
        (good.replace("      port: 80\n", ""), "spec.static.hosts[0].port: is required"),
    ];
    for (broken, expected) in rows {
        let mut folder = Folder::new();
        folder.save("a.yaml", &good);
        let update = folder.save("a.yaml", &broken);
        assert_eq!(update.changes, [], "{expected}");
        let findings = folder.findings(&update);
        let line = findings[0].strip_prefix("a.yaml:").and_then(|rest| rest.split_once(':')).unwrap().0;
        assert!(["8", "9"].contains(&line), "the line of the field or of the host: {findings:?}");
        assert!(findings[0].contains(": document 1: Backend default/one: "), "{findings:?}");
        assert!(findings[0].contains(expected), "{findings:?}");
        assert!(findings[0].ends_with("(its last good version stays in use)"), "{findings:?}");
    }
}

fn route(filter: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: one}}\n\
         spec:\n  parentRefs: [{{name: web}}]\n  hostnames: [a.test]\n  rules:\n  - filters: [{filter}]\n"
    )
}

#[test]
fn what_an_api_server_would_refuse_is_refused_with_all_that_is_wrong_and_keeps_its_last_good_version() {
    let mut folder = Folder::new();
    folder.save(
        "a.yaml",
        &join(&[route("{type: URLRewrite, urlRewrite: {hostname: b.test}}"), backend("two", "a.test")]),
    );
    assert_eq!(folder.names(), ["Backend default/two", "HTTPRoute default/one"]);
    let mixed = "{type: URLRewrite, urlRewrite: {hostname: B}, requestHeaderModifier: {remove: [a]}}";
    let update = folder.save("a.yaml", &join(&[route(mixed), backend("two", "b.test")]));
    assert_eq!(update.changes.len(), 1, "the other object is taken: {update:?}");
    let findings = folder.findings(&update);
    assert_eq!(findings.len(), 2, "{findings:?}");
    let place = "a.yaml:8: document 1: HTTPRoute default/one: spec.rules[0].filters[0]";
    assert!(findings.iter().all(|finding| finding.starts_with(place)), "{findings:?}");
    assert!(
        findings.iter().all(|finding| finding.ends_with("(its last good version stays in use)")),
        "{findings:?}"
    );
    assert!(findings.concat().contains("requestHeaderModifier must be nil"), "{findings:?}");
}

#[test]
fn what_is_read_has_the_defaults_of_its_schema() {
    let mut folder = Folder::new();
    folder.save("a.yaml", &route("{type: RequestRedirect, requestRedirect: {hostname: b.test}}"));
    let Some(Object::HttpRoute(route)) = folder.source.objects.values().next() else { panic!("no route") };
    let [FilterMember::RequestRedirect(redirect)] = &*route.rules[0].filters[0].members else {
        panic!("{route:?}")
    };
    assert_eq!(redirect.status_code, Some(302));
}

#[test]
fn an_object_that_was_never_good_is_absent() {
    let mut folder = Folder::new();
    let broken = backend("one", "a.test").replace("port: 80", "prot: 80");
    let update = folder.save("a.yaml", &join(&[broken, backend("two", "a.test")]));
    assert_eq!(folder.names(), ["Backend default/two"]);
    assert!(!folder.findings(&update)[0].contains("last good"), "{update:?}");
}

#[test]
fn of_two_objects_of_one_name_the_first_is_used_and_both_places_are_said() {
    let mut folder = Folder::new();
    folder.save("b.yaml", &backend("one", "b.test"));
    let update = folder.save("a.yaml", &join(&[backend("one", "a.test"), backend("one", "c.test")]));
    let root = format!("{}/", folder.root.path().display());
    let findings: Vec<String> = folder.findings(&update);
    assert_eq!(findings.len(), 2, "{findings:?} {root}");
    assert_eq!(
        findings[0],
        "a.yaml:11: document 2: Backend default/one: stands here a second time; the first one, at a.yaml:1: document 1, is used"
    );
    assert!(findings[1].starts_with("b.yaml:1: document 1: Backend default/one: stands here a second time"));
    let Some(Object::Backend(used)) = folder.source.objects.values().next() else { panic!() };
    assert!(serde_json::to_string(&used.spec).unwrap().contains("a.test"));
}

#[test]
fn kinds_of_others_are_noticed_and_unknown_kinds_of_ours_are_problems() {
    let mut folder = Folder::new();
    let document =
        |api: &str, kind: &str| format!("apiVersion: {api}\nkind: {kind}\nmetadata: {{name: x}}\n");
    let update = folder.save(
        "a.yaml",
        &join(&[
            document("apps/v1", "Deployment"),
            document("v1", "Pod"),
            document("gateway.networking.k8s.io/v1", "UDPRoute"),
            document("gateway.kgateway.dev/v1", "Backend"),
        ]),
    );
    let severities: Vec<Severity> = update.said().iter().map(|finding| finding.severity).collect();
    assert_eq!(severities, [Severity::Notice, Severity::Notice, Severity::Problem, Severity::Problem]);
}

#[test]
fn what_is_not_an_object_is_said() {
    let mut folder = Folder::new();
    let update = folder.save("a.yaml", "- 1\n- 2\n---\nkind: Secret\n");
    assert_eq!(update.said().len(), 2, "{update:?}");
}

#[test]
fn a_file_that_cannot_be_read_keeps_all_that_it_gave() {
    let mut folder = Folder::new();
    folder.save("a.yaml", &backend("one", "a.test"));
    fs::write(folder.path("a.yaml"), [0xff, 0xfe, 0x00]).unwrap();
    let update = folder.source.read();
    assert_eq!(update.changes, []);
    assert_eq!(folder.findings(&update), ["a.yaml: is not UTF-8 text"]);
}

#[test]
fn no_finding_shows_a_key() {
    let mut folder = Folder::new();
    let update = folder.save(
        "a.yaml",
        &join(&[
            secret("a", "[sk-canary]"),
            secret("b", "sk-canary: x"),
            secret("c", "\"sk-canary\", stringDate: sk-canary"),
            secret("d", "{sk-canary: 1}"),
            secret("e", "sk-canary}\ntype: {sk-canary: 2"),
        ]),
    );
    assert!(update.said().len() >= 4, "{update:?}");
    assert!(!format!("{:?}", update).contains("canary"), "{update:?}");
}

#[test]
fn a_path_that_does_not_exist_is_refused_at_the_start() {
    let error = FileSource::new(&[Path::new("/does/not/exist.yaml").to_owned()]).unwrap_err();
    assert_eq!(error.to_string(), "/does/not/exist.yaml: no such file or folder");
}

/// Waits for the update in which `object` is deleted or applied.
async fn next(updates: &mut mpsc::Receiver<Update>) -> Update {
    tokio::time::timeout(Duration::from_secs(10), updates.recv()).await.expect("an update in time").unwrap()
}

#[tokio::test]
async fn saving_creating_renaming_and_deleting_files_is_seen() {
    let folder = Folder::new();
    let path = |name: &str| folder.root.path().join(name);
    fs::write(path("a.yaml"), backend("one", "a.test")).unwrap();
    let mut updates = FileSource::new(&[folder.root.path().to_owned()]).unwrap().start().unwrap();
    assert_eq!(next(&mut updates).await.changes.len(), 1);

    fs::write(path("a.yaml"), backend("one", "b.test")).unwrap();
    assert_eq!(next(&mut updates).await.changes.len(), 1, "saved in place");

    fs::write(path(".a.yaml.tmp"), backend("one", "c.test")).unwrap();
    fs::rename(path(".a.yaml.tmp"), path("a.yaml")).unwrap();
    assert_eq!(next(&mut updates).await.changes.len(), 1, "saved by rename");

    fs::create_dir(path("new")).unwrap();
    fs::write(path("new/b.yaml"), backend("two", "a.test")).unwrap();
    assert_eq!(next(&mut updates).await.changes.len(), 1, "a file in a new folder");

    fs::remove_dir_all(path("new")).unwrap();
    assert_eq!(deleted(&next(&mut updates).await), ["Backend default/two"]);

    fs::create_dir(path("new")).unwrap();
    fs::write(path("new/b.yaml"), backend("two", "a.test")).unwrap();
    assert_eq!(next(&mut updates).await.changes.len(), 1, "the folder is back");
}

#[tokio::test]
async fn a_mounted_config_map_is_followed_when_its_link_is_swapped() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    for (version, host) in [("..1", "a.test"), ("..2", "b.test")] {
        fs::create_dir(path(version)).unwrap();
        fs::write(path(version).join("a.yaml"), backend("one", host)).unwrap();
    }
    std::os::unix::fs::symlink("..1", path("..data")).unwrap();
    std::os::unix::fs::symlink("..data/a.yaml", path("a.yaml")).unwrap();
    let mut updates = FileSource::new(&[root.path().to_owned()]).unwrap().start().unwrap();
    assert_eq!(next(&mut updates).await.changes.len(), 1);
    std::os::unix::fs::symlink("..2", path("..tmp")).unwrap();
    fs::rename(path("..tmp"), path("..data")).unwrap();
    assert_eq!(next(&mut updates).await.changes.len(), 1);
}

#[test]
fn a_file_that_is_briefly_empty_while_it_is_saved_removes_nothing() {
    let mut folder = Folder::new();
    folder.save("a.yaml", &backend("one", "a.test"));
    let path = folder.path("a.yaml");
    let save = |text: &str| fs::write(&path, text).unwrap();
    save("");
    let scan = folder.source.confirmed_scan(|| save(&backend("one", "b.test")));
    let update = folder.source.accept(scan);
    assert!(matches!(&update.changes[..], [Change::Apply(_)]), "{update:?}");
}

#[test]
fn of_two_files_that_are_empty_one_after_the_other_nothing_is_removed() {
    let mut folder = Folder::new();
    let (one, two) = (backend("one", "a.test"), backend("two", "a.test"));
    folder.save("a.yaml", &one);
    folder.save("b.yaml", &two);
    let (a, b) = (folder.path("a.yaml"), folder.path("b.yaml"));
    fs::write(&a, "").unwrap();
    let mut saves = [(&a, one.as_str(), &b, ""), (&b, two.as_str(), &a, one.as_str())].into_iter();
    let scan = folder.source.confirmed_scan(|| {
        let Some((first, content, second, other)) = saves.next() else { return };
        fs::write(first, content).unwrap();
        fs::write(second, other).unwrap();
    });
    assert_eq!(folder.source.accept(scan), Update::default());
}

#[test]
fn what_stays_away_is_removed() {
    let mut folder = Folder::new();
    folder.save("a.yaml", &backend("one", "a.test"));
    fs::write(folder.path("a.yaml"), "").unwrap();
    let scan = folder.source.confirmed_scan(|| {});
    assert_eq!(deleted(&folder.source.accept(scan)), ["Backend default/one"]);
}

#[test]
fn a_route_without_a_parent_is_served_if_there_is_no_gateway_at_all() {
    let route = |name: &str, parents: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}, namespace: a}}\n\
             spec: {{{parents}}}\n"
        )
    };
    let implied = "Gateway default/chancery";
    let mut folder = Folder::new();
    let update = folder.save("route.yaml", &route("lonely", ""));
    let findings = folder.findings(&update);
    assert!(
        matches!(&findings[..], [only] if only.starts_with("route.yaml:4: document 1: HTTPRoute a/lonely: has no parentRefs")
        && only.contains("served at port 8080 by the Gateway default/chancery")),
        "{findings:?}"
    );
    assert!(folder.names().contains(&implied.to_owned()), "{:?}", folder.names());
    let parents = |folder: &Folder| {
        let routes = folder.source.objects.values().filter_map(|object| match object {
            Object::HttpRoute(route) => Some(route.parent_refs.clone()),
            _ => None,
        });
        routes.collect::<Vec<_>>().concat()
    };
    let parent = parents(&folder);
    assert_eq!((parent[0].namespace.as_deref(), &*parent[0].name), (Some("default"), "chancery"));

    // One that names its Gateway is left alone, and needs none of ours.
    let named = route("lonely", "parentRefs: [{name: web}]");
    let update = folder.save("route.yaml", &named);
    assert_eq!(folder.findings(&update), [""; 0]);
    assert_eq!(deleted(&update), [implied]);

    // With a Gateway, whoever names none wants none.
    folder.save("route.yaml", &route("lonely", ""));
    let gateway = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: web}\nspec:\n  \
                   gatewayClassName: chancery\n  listeners: [{name: http, protocol: HTTP, port: 8080}]\n";
    let update = folder.save("gateway.yaml", gateway);
    let said = "route.yaml:4: document 1: warning: HTTPRoute a/lonely: has no parentRefs, so that no Gateway serves it; \
                name one: parentRefs: [{name: NAME}]";
    assert_eq!(folder.findings(&update), [said]);
    assert_eq!(deleted(&update), [implied]);
    assert_eq!(parents(&folder), []);
}
