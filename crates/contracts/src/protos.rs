//! The generated gRPC code, in modules that follow the proto packages.

/// The package `agora.users`.
pub mod users {
    /// `agora.users.v1`: see `proto/agora/users/v1/users.proto`.
    #[allow(
        missing_docs,
        unreachable_pub,
        clippy::all,
        clippy::allow_attributes_without_reason,
        unused_qualifications,
        reason = "generated: its lints are the generator's business, its documentation is the proto's"
    )]
    pub mod v1 {
        tonic::include_proto!("agora.users.v1");

        /// The encoded descriptors of the package and its imports, for the reflection service.
        pub const FILE_DESCRIPTOR_SET: &[u8] =
            include_bytes!(concat!(env!("OUT_DIR"), "/users.v1.descriptors.bin"));
    }
}

/// The package `agora.products`.
pub mod products {
    /// `agora.products.v1`: see `proto/agora/products/v1/catalog.proto`.
    #[allow(
        missing_docs,
        unreachable_pub,
        clippy::all,
        clippy::allow_attributes_without_reason,
        unused_qualifications,
        reason = "generated: its lints are the generator's business, its documentation is the proto's"
    )]
    pub mod v1 {
        tonic::include_proto!("agora.products.v1");

        /// The encoded descriptors of the package and its imports, for the reflection service.
        pub const FILE_DESCRIPTOR_SET: &[u8] =
            include_bytes!(concat!(env!("OUT_DIR"), "/products.v1.descriptors.bin"));
    }
}
