//! Compiles `proto/` into Rust with protox, a Protobuf compiler in Rust: nobody installs `protoc`.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

/// Each proto file and the file in `OUT_DIR` that holds its descriptors (with what it imports), from
/// which the services answer reflection.
const PROTOS: [(&str, &str); 2] = [
    ("agora/users/v1/users.proto", "users.v1.descriptors.bin"),
    (
        "agora/products/v1/catalog.proto",
        "products.v1.descriptors.bin",
    ),
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    for (proto, descriptors) in PROTOS {
        println!("cargo::rerun-if-changed={}", root.join(proto).display());
        let compiled = protox::compile([proto], [&root])?;
        fs::write(out.join(descriptors), compiled.encode_to_vec())?;
        tonic_prost_build::configure().compile_fds(compiled)?;
    }
    Ok(())
}
