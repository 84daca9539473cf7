//! Network and machine basics of a service: the HTTP client and its TLS roots, supervised tasks,
//! the limit of open files, files that are replaced as a whole, unique names.

pub mod atomic_file;
pub mod causes;
pub mod descriptors;
pub mod outbound;
pub mod spans;
pub mod supervisor;
pub mod tls;
pub mod unique;
