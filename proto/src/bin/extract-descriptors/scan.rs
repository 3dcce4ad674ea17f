//! Finds encoded `FileDescriptorProto`s in arbitrary bytes.

use std::collections::BTreeMap;

use prost::Message as _;
use prost::encoding::decode_varint;
use prost_reflect::prost_types::{FieldDescriptorProto, FileDescriptorProto};

/// One embedded file.
pub(crate) struct File<'a> {
    /// As it stands in the binary, with all its annotations.
    pub(crate) bytes: &'a [u8],
    /// Decoded, without `json_name`s and without annotations.
    pub(crate) descriptor: FileDescriptorProto,
}

/// The longest `.proto` path looked for.
const MAX_NAME: usize = 256;

/// All files that `binary` embeds, by name.
///
/// A binary may embed a file more than once (Envoy: for C++ and for upb, where the latter also carries
/// `json_name`s and annotations that only compilers read). The shortest copy is taken.
///
/// # Errors
/// When two copies of a file disagree on its messages: the binary then speaks two versions of it.
pub(crate) fn files(binary: &[u8]) -> Result<BTreeMap<String, File<'_>>, String> {
    let mut found: BTreeMap<String, File<'_>> = BTreeMap::new();
    let mut rest = binary;
    while let Some(skip) = rest.iter().position(|byte| *byte == NAME_KEY) {
        rest = rest.get(skip..).unwrap_or_default();
        let Some(file) = file_at(rest) else {
            rest = rest.get(1..).unwrap_or_default();
            continue;
        };
        rest = rest.get(file.bytes.len()..).unwrap_or_default();
        let name = file.descriptor.name().to_owned();
        match found.get(&name) {
            Some(other) if other.descriptor != file.descriptor => {
                return Err(format!("the binary embeds two different versions of {name}"));
            }
            Some(other) if other.bytes.len() <= file.bytes.len() => {}
            _ => {
                found.insert(name, file);
            }
        }
    }
    Ok(found)
}

/// The key of field 1, `name`, which every file descriptor begins with.
const NAME_KEY: u8 = 0x0a;

/// The file that begins at the first byte, if one does.
fn file_at(bytes: &[u8]) -> Option<File<'_>> {
    let mut rest = bytes.get(1..)?;
    let length = usize::try_from(decode_varint(&mut rest).ok()?).ok().filter(|n| *n <= MAX_NAME)?;
    let name = rest.get(..length)?;
    if !name.ends_with(b".proto") || !name.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    // The fields that follow may run into bytes that happen to look like one more field, so the longest
    // prefix that decodes is taken.
    field_ends(bytes).into_iter().rev().find_map(|end| {
        let bytes = bytes.get(..end)?;
        let mut descriptor = FileDescriptorProto::decode(bytes).ok()?;
        forget_json_names(&mut descriptor);
        Some(File { bytes, descriptor })
    })
}

/// Where each of the leading fields ends that can belong to one `FileDescriptorProto`: known fields, in
/// the order of their numbers (as every protobuf runtime writes them), a single name.
fn field_ends(bytes: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut rest = bytes;
    let mut last = 0;
    while let Some((number, after)) = skip_field(rest) {
        let again = number == last && !REPEATED.contains(&number);
        if number < last || again || !(SINGULAR.contains(&number) || REPEATED.contains(&number)) {
            break;
        }
        last = number;
        rest = after;
        ends.push(bytes.len() - rest.len());
    }
    ends
}

/// name, package, options, syntax, edition.
const SINGULAR: [u64; 5] = [1, 2, 8, 12, 14];
/// dependency, `message_type`, `enum_type`, service, extension, `public_dependency`, `weak_dependency`.
const REPEATED: [u64; 7] = [3, 4, 5, 6, 7, 10, 11];

/// The number of the field that `bytes` begin with, and what follows the field.
fn skip_field(bytes: &[u8]) -> Option<(u64, &[u8])> {
    const VARINT: u64 = 0;
    const LENGTH_DELIMITED: u64 = 2;
    let mut rest = bytes;
    let key = decode_varint(&mut rest).ok()?;
    match key & 7 {
        VARINT => {
            decode_varint(&mut rest).ok()?;
        }
        LENGTH_DELIMITED => {
            let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
            rest = rest.get(length..)?;
        }
        _ => return None,
    }
    Some((key >> 3, rest))
}

/// Removes the JSON names, which protoc derives from the field names and the C++ runtime leaves out.
fn forget_json_names(file: &mut FileDescriptorProto) {
    fn forget(fields: &mut [FieldDescriptorProto]) {
        for field in fields {
            field.json_name = None;
        }
    }
    forget(&mut file.extension);
    let mut messages: Vec<_> = file.message_type.iter_mut().collect();
    while let Some(message) = messages.pop() {
        forget(&mut message.field);
        forget(&mut message.extension);
        messages.extend(message.nested_type.iter_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost_reflect::prost_types::DescriptorProto;

    fn file(name: &str, message: &str, json_name: Option<&str>) -> Vec<u8> {
        let field = FieldDescriptorProto {
            name: Some("some_field".to_owned()),
            json_name: json_name.map(str::to_owned),
            ..Default::default()
        };
        let message =
            DescriptorProto { name: Some(message.to_owned()), field: vec![field], ..Default::default() };
        let file = FileDescriptorProto {
            name: Some(name.to_owned()),
            package: Some("a".to_owned()),
            dependency: vec!["b.proto".to_owned(), "c.proto".to_owned()],
            message_type: vec![message.clone(), message],
            syntax: Some("proto3".to_owned()),
            ..Default::default()
        };
        file.encode_to_vec()
    }

    #[test]
    fn finds_files_between_other_bytes_and_back_to_back() {
        let (a, b) = (file("a.proto", "A", None), file("dir/b.proto", "B", None));
        let binary = [b"\x0a\x0a\x07.proto\x00junk".as_slice(), &a, &b, b"\x12\x02more\xff"].concat();
        let found = files(&binary).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a.proto", "dir/b.proto"]);
        assert_eq!(found["a.proto"].bytes, a);
        assert_eq!(found["dir/b.proto"].bytes, b);
    }

    #[test]
    fn stops_before_bytes_that_look_like_a_field_but_do_not_decode() {
        // Without a syntax, as in proto2, extensions (7) may follow: messages, which these bytes are not.
        let mut a = FileDescriptorProto::decode(file("a.proto", "A", None).as_slice()).unwrap();
        a.syntax = None;
        let a = a.encode_to_vec();
        let binary = [a.as_slice(), b"\x3a\x01\xff"].concat();
        assert_eq!(files(&binary).unwrap()["a.proto"].bytes, a);
    }

    #[test]
    fn takes_the_shorter_of_two_copies_that_differ_in_json_names_alone() {
        let (short, long) = (file("a.proto", "A", None), file("a.proto", "A", Some("someField")));
        for binary in [[short.clone(), long.clone()], [long, short.clone()]] {
            assert_eq!(files(&binary.concat()).unwrap()["a.proto"].bytes, short);
        }
    }

    #[test]
    fn refuses_a_binary_with_two_versions_of_a_file() {
        let binary = [file("a.proto", "A", None), file("a.proto", "B", None)].concat();
        let error = files(&binary).err().unwrap();
        assert!(error.contains("a.proto"), "{error}");
    }
}
