//! What a service needs of machine and network: the HTTP client and its TLS roots, supervised tasks,
//! open files, names that no other process has.

pub mod causes;
pub mod descriptors;
pub mod outbound;
pub mod spans;
pub mod supervisor;
pub mod tls;
pub mod unique;
