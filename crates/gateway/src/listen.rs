//! The ways in: sockets, certificates, and how clients find them.

mod certificates;
mod registration;
mod unix;

pub(crate) use certificates::{Certificates, server_tls};
pub(crate) use registration::register;
pub(crate) use unix::{incoming, own_incoming, prepare_run_folder, private_folder, take_lock};
