//! JSON as bytes: fields of an object are found, replaced and added, and everything else stays byte for byte.

mod capture;
mod object;

pub use capture::Capture;
pub use object::{Edit, Field, Object, ObjectError, elements};
