//! The rules that findings about the input itself name. Those about objects name the reason of a condition.

/// A file or folder cannot be read.
pub const UNREADABLE: &str = "Unreadable";
/// The text of a document is not YAML.
pub const INVALID_YAML: &str = "InvalidYaml";
/// A document is no Kubernetes object.
pub const NOT_AN_OBJECT: &str = "NotAnObject";
/// An object is of a kind that is not read.
pub const UNKNOWN_KIND: &str = "UnknownKind";
/// A value that an API server would refuse.
pub const INVALID_FIELD: &str = "InvalidField";
/// An object stands in the files twice.
pub const DUPLICATE_OBJECT: &str = "DuplicateObject";
/// There is no object to read.
pub const NOTHING_TO_READ: &str = "NothingToRead";
/// A route names no Gateway.
pub const NO_PARENT: &str = "NoParent";
/// A Service of which nothing says where it runs.
pub const NO_ENDPOINTS: &str = "NoEndpoints";
/// A field that has no effect.
pub const NO_EFFECT: &str = "NoEffect";
/// Objects of a kind cannot be watched.
pub const WATCH_FAILS: &str = "WatchFails";
