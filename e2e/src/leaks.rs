//! Whether a secret stands anywhere but where it belongs: what a Chancery and its Envoys tell about themselves is
//! collected, and searched for the secret in several forms.

use std::path::Path;

use anyhow::Result;

use crate::fixture::Fixture;
use crate::scenario::Chancery;

/// A place, and the text that is found there.
pub type Place = (String, String);

/// All that can be seen of a Chancery and of the Envoys of these Gateways (by name, or by namespace where that tells
/// them apart): logs, ports, commands, and every file of the state folder, access logs among them.
///
/// # Errors
/// A port does not answer, or a file cannot be read.
pub async fn places(fixture: &Fixture, gateways: &[&str]) -> Result<Vec<Place>> {
    let mut places = vec![("our log".to_owned(), fixture.chancery.log())];
    for path in ["/metrics", "/status", "/debug/snapshot", "/healthz", "/readyz"] {
        places.push((format!("the admin port's {path}"), fixture.admin(path).await?.text()));
    }
    for gateway in gateways {
        let envoy = fixture.envoy(gateway)?;
        for path in ["/config_dump?include_eds", "/stats", "/stats/prometheus", "/clusters?format=json"] {
            places.push((format!("Envoy's {path}"), envoy.get(path).await?.text()));
        }
    }
    for subcommand in ["translate", "check"] {
        let config = fixture.config();
        let output = Chancery::output(subcommand, &[config.as_os_str()], &fixture.state())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        places.push((subcommand.to_owned(), text(&output.stdout) + &text(&output.stderr)));
    }
    places.extend(files(&fixture.state())?);
    Ok(places)
}

/// That no place holds the secret.
///
/// # Panics
/// One does, or a place that should say something is empty.
pub fn assert_absent(places: &[Place], secret: &str) {
    assert!(
        places.iter().any(|(_, text)| text.contains("[redacted]")),
        "the dumps do show that there is a secret"
    );
    for (place, text) in places {
        assert!(
            // Envoy's own files may be empty, and so is a check that finds nothing.
            !text.is_empty() || place.starts_with('/') || place == "check",
            "{place} is empty: looked in vain"
        );
        for form in forms(secret) {
            assert!(!text.contains(&form), "{secret} stands in {place} as {form}");
        }
    }
}

/// The forms in which a secret could leak: as it is, in hexadecimal digits, reversed, and in base64.
fn forms(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let reversed: String = secret.chars().rev().collect();
    vec![secret.to_owned(), hex, reversed, base64(bytes)]
}

/// Without padding, so that it is found in longer texts too.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |chunk: &[u8]| {
        let number =
            chunk.iter().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        let digit = |index: usize| DIGITS[(number >> (18 - 6 * index)) as usize & 63] as char;
        (0..=chunk.len()).map(digit).collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

/// Every file below a folder that can be read, with its content.
fn files(folder: &Path) -> Result<Vec<Place>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            found.extend(files(&entry.path())?);
        } else if kind.is_file() {
            let text = String::from_utf8_lossy(&std::fs::read(entry.path())?).into_owned();
            found.push((entry.path().display().to_string(), text));
        }
    }
    Ok(found)
}
