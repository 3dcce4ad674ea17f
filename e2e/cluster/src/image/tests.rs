use std::path::Path;
use std::process::Command;

use super::Image;

/// What GNU tar, an independent reader, lists: permissions and paths.
fn listing(archive: &Path) -> String {
    let output = Command::new("tar").arg("-tvf").arg(archive).output().expect("tar runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn an_image_holds_the_program_with_its_libraries_and_a_writable_tmp() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("image.tar");
    Image::new("shell:test").program("/bin/sh").write(&target).expect("it is written");

    let outer = listing(&target);
    assert!(outer.contains("manifest.json"), "{outer}");
    let untar = Command::new("tar").arg("-xf").arg(&target).arg("-C").arg(folder.path()).status();
    assert!(untar.expect("tar runs").success());
    let layer = outer.split_whitespace().find(|word| word.ends_with("/layer.tar")).expect("a layer");
    let layer = listing(&folder.path().join(layer));
    for wanted in ["usr/local/bin/sh", "libc.so.6", "ld-linux", "etc/passwd"] {
        assert!(layer.contains(wanted), "{wanted} is not in\n{layer}");
    }
    assert!(layer.lines().any(|line| line.starts_with("drwxrwxrwt") && line.ends_with(" tmp/")), "{layer}");
}

#[test]
fn equal_input_gives_equal_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let [first, second] = ["first", "second"].map(|name| {
        let target = folder.path().join(name);
        Image::new("text:test").text("hello", "/etc/greeting").write(&target).expect("it is written");
        std::fs::read(target).expect("it is there")
    });
    assert_eq!(first, second);
}
