//! The versioned configuration that travels from the translator to the AI engine inside Envoy.
//!
//! Contract: plain serde types, one version number, an older module keeps its last good
//! configuration when it meets a newer version. May depend on nothing but serde: it is the seam
//! between two programs that are upgraded at different times. Empty until the AI engine is built.
