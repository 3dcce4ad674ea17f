//! `google.protobuf.Any`: packing and unpacking, with the type URL taken from the message's own name.

use crate::wkt::Any;

/// The prefix of every type URL that Envoy writes and expects.
pub const TYPE_URL_PREFIX: &str = "type.googleapis.com/";

/// Why an [`Any`] could not be unpacked.
///
/// Neither variant carries the bytes: they may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnpackError {
    /// The `Any` holds a message of another type.
    WrongType {
        /// The full name that was asked for.
        expected: String,
        /// The type URL that the `Any` carries.
        found: String,
    },
    /// The type is right, the bytes are not an encoding of it.
    Decode {
        /// The full name of the message.
        message: String,
        /// What the decoder said.
        source: prost::DecodeError,
    },
}

impl std::fmt::Display for UnpackError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::WrongType { expected, found } => {
                write!(f, "expected an Any of {expected}, found `{found}`")
            }
            Self::Decode { message, .. } => write!(f, "the Any's bytes are not a valid {message}"),
        }
    }
}

impl std::error::Error for UnpackError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::WrongType { .. } => None,
            Self::Decode { source, .. } => Some(source),
        }
    }
}

/// Packs a message into an [`Any`] under its own type URL, [deterministically encoded](crate::encode).
pub fn pack<M: prost::Name>(message: &M) -> Any {
    Any { type_url: type_url::<M>(), value: crate::encode(message) }
}

/// Unpacks an [`Any`] as `M`.
///
/// # Errors
/// [`UnpackError::WrongType`] when the `Any` holds something else, [`UnpackError::Decode`] when its bytes
/// do not decode.
pub fn unpack<M: prost::Name + Default>(any: &Any) -> Result<M, UnpackError> {
    let expected = M::full_name();
    if message_name(&any.type_url) != expected {
        return Err(UnpackError::WrongType { expected, found: any.type_url.clone() });
    }
    M::decode(any.value.as_slice()).map_err(|source| UnpackError::Decode { message: expected, source })
}

/// The type URL of `M`, for example `type.googleapis.com/envoy.config.cluster.v3.Cluster`.
pub fn type_url<M: prost::Name>() -> String {
    format!("{TYPE_URL_PREFIX}{}", M::full_name())
}

/// The full name of the message that a type URL names: what follows the last `/`.
///
/// Protobuf allows any prefix before it, so a comparison of types compares these names.
pub fn message_name(type_url: &str) -> &str {
    type_url.rsplit('/').next().unwrap_or(type_url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cluster::Cluster, listener::Listener, wkt};

    #[test]
    fn what_is_packed_unpacks_to_the_same() {
        let cluster = Cluster { name: "a".to_owned(), ..Default::default() };
        let any = pack(&cluster);
        assert_eq!(any.type_url, "type.googleapis.com/envoy.config.cluster.v3.Cluster");
        assert_eq!(unpack::<Cluster>(&any), Ok(cluster));
    }

    #[test]
    fn a_type_is_compared_by_its_name_whatever_the_prefix() {
        let any = Any { type_url: "example.com/types/google.protobuf.Empty".to_owned(), value: vec![] };
        assert_eq!(unpack::<wkt::Empty>(&any), Ok(wkt::Empty {}));
    }

    #[test]
    fn another_type_is_refused_and_named() {
        let error = unpack::<Listener>(&pack(&Cluster::default())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "expected an Any of envoy.config.listener.v3.Listener, \
             found `type.googleapis.com/envoy.config.cluster.v3.Cluster`"
        );
    }

    #[test]
    fn broken_bytes_are_an_error_that_does_not_quote_them() {
        let any = Any { type_url: type_url::<Cluster>(), value: b"\x0a\x7fsecret".to_vec() };
        let error = unpack::<Cluster>(&any).unwrap_err();
        assert!(matches!(error, UnpackError::Decode { .. }));
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}
