//! What is kept on the disk: the data directory and the files in it that only their owner may read.

mod admin;
mod data_dir;
pub(crate) mod places;
pub(crate) mod private_file;
mod running;

pub(crate) use admin::{Admin, AdminArgs};
pub(crate) use data_dir::DataDir;
pub(crate) use running::running;
