//! The methods of a gRPC door, known before the first call.

use std::collections::HashSet;
use std::sync::Arc;

use prost::{DecodeError, Message as _};
use prost_types::FileDescriptorSet;

/// The label of paths that are not registered.
const UNKNOWN: &str = "unknown";

/// The methods of a gRPC door, from the descriptors that its reflection service answers with. Metrics and traces label
/// a call only with one of these: a path is chosen by the caller, and a call may be refused before the router checks
/// that its method exists.
#[derive(Clone, Debug, Default)]
pub struct Methods(Arc<HashSet<Arc<str>>>);

impl Methods {
    /// The methods of all services in these encoded `FileDescriptorSet`s.
    ///
    /// # Errors
    /// If one of them cannot be decoded. They are compiled in, so that this is a mistake in the build.
    pub fn of(descriptor_sets: &[&[u8]]) -> Result<Self, DecodeError> {
        let mut methods = HashSet::new();
        for set in descriptor_sets {
            for file in FileDescriptorSet::decode(*set)?.file {
                let package = match file.package() {
                    "" => String::new(),
                    package => format!("{package}."),
                };
                for service in &file.service {
                    for method in &service.method {
                        let path = format!("{package}{}/{}", service.name(), method.name());
                        methods.insert(path.into());
                    }
                }
            }
        }
        Ok(Self(Arc::new(methods)))
    }

    /// The label of a call to `path`: `agora.users.v1.UserService/GetUser`, or `unknown`.
    pub(super) fn label(&self, path: &str) -> Arc<str> {
        let path = path.strip_prefix('/').unwrap_or(path);
        self.0.get(path).map_or_else(|| UNKNOWN.into(), Arc::clone)
    }
}

#[cfg(test)]
mod tests {
    use super::Methods;

    #[test]
    fn only_what_is_described_has_a_name() {
        let methods = Methods::of(&[tonic_health::pb::FILE_DESCRIPTOR_SET]).unwrap();
        let known = "grpc.health.v1.Health/Check";
        assert_eq!(&*methods.label(&format!("/{known}")), known);
        for made_up in [
            "",
            "/",
            "/grpc.health.v1.Health/Chec",
            "//grpc.health.v1.Health/Check",
            "/a.b/C",
        ] {
            assert_eq!(&*methods.label(made_up), "unknown", "{made_up}");
        }
        assert!(Methods::of(&[b"\xff"]).is_err());
    }
}
