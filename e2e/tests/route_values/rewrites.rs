//! Paths that are put in place of others.

use anyhow::Result;

use super::{World, route};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_path_is_sent_as_it_is_written() -> Result<()> {
    let mut rules = String::new();
    let mut expected = Vec::new();
    let full = [
        "/api/v4/projects/grp%2Fproj",
        "/a//b",
        "/a/../b",
        "/%2e%2e/x",
        "/a%5Cb",
        "/new?a=1",
        "/new?a=1&b=%2F",
        "/new?u=http://x/y?z",
        "/a\\\\1b",
        "/%1",
        "/100%",
    ];
    for (number, to) in full.iter().enumerate() {
        rules += &format!(
            "  - matches: [{{path: {{value: /full{number}}}}}]\n    filters: [{{type: URLRewrite, urlRewrite: {{path: \
             {{type: ReplaceFullPath, replaceFullPath: \"{to}\"}}}}}}]\n    backendRefs: [{{name: echo, port: 80}}]\n"
        );
        let to = to.replace("\\\\", "\\");
        let joint = if to.contains('?') { "&" } else { "?" };
        expected.push((format!("/full{number}/below"), to.clone()));
        expected.push((format!("/full{number}?x=7&y=%20"), format!("{to}{joint}x=7&y=%20")));
    }
    let mut documents = route("full", &rules);
    rules.clear();
    for (number, (to, bare, below)) in [
        ("/grp%2Fproj", "/grp%2Fproj", "/grp%2Fproj/a"),
        ("/find?path=", "/find?path=", "/find?path=/a"),
        ("/x//y/", "/x//y", "/x//y/a"),
    ]
    .iter()
    .enumerate()
    {
        // The escape comes in either case.
        rules += &format!(
            "  - matches: [{{path: {{value: \"/prefix%3A{number}\"}}}}]\n    filters: [{{type: URLRewrite, urlRewrite: {{path: \
             {{type: ReplacePrefixMatch, replacePrefixMatch: \"{to}\"}}}}}}]\n    backendRefs: [{{name: echo, port: 80}}]\n"
        );
        for escape in ["%3A", "%3a"] {
            let joint = if to.contains('?') { "&" } else { "?" };
            expected.push((format!("/prefix{escape}{number}"), (*bare).to_owned()));
            expected.push((format!("/prefix{escape}{number}/a"), (*below).to_owned()));
            expected.push((format!("/prefix{escape}{number}/a?q=1"), format!("{below}{joint}q=1")));
        }
    }
    documents += &route("prefix", &rules);
    let world = World::start(&documents).await?;
    for (path, sent) in expected {
        assert_eq!(world.seen(&path).await?.path, sent, "{path}");
    }
    Ok(())
}
