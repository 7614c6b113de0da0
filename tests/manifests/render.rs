//! The manifests as a cluster gets them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::Value;

pub(crate) use mesh::table::SERVICES;

/// A folder of `deploy/kubernetes/overlays`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overlay {
    Dev,
    Production,
    Mesh,
    OneMachine,
}

/// The documents of an overlay.
pub(crate) struct Rendered {
    pub(crate) overlay: Overlay,
    pub(crate) documents: Vec<Value>,
}

impl Overlay {
    pub(crate) const ALL: [Self; 4] = [Self::Dev, Self::Production, Self::Mesh, Self::OneMachine];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Production => "production",
            Self::Mesh => "mesh",
            Self::OneMachine => "one-machine",
        }
    }

    /// What a cluster would get; the reason if there is nothing to render with. Rendered once.
    ///
    /// # Panics
    /// When it cannot be rendered.
    pub(crate) fn rendered(self) -> Result<&'static Rendered, String> {
        static RENDERED: [OnceLock<Rendered>; 4] = [const { OnceLock::new() }; 4];
        let renderer = renderer().ok_or("there is neither kubectl nor kustomize")?;
        let index = Self::ALL.iter().position(|&overlay| overlay == self);
        let slot = &RENDERED[index.unwrap()];
        Ok(slot.get_or_init(|| Rendered {
            overlay: self,
            documents: render(
                renderer,
                &repository(&format!("deploy/kubernetes/overlays/{}", self.name())),
            ),
        }))
    }
}

impl Rendered {
    /// All documents of a kind.
    pub(crate) fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.documents
            .iter()
            .filter(move |document| document["kind"] == kind)
    }

    /// The Deployment of a service.
    pub(crate) fn deployment(&self, service: &str) -> &Value {
        let mut all = self.of_kind("Deployment");
        all.find(|document| name(document) == service).unwrap()
    }

    /// The pod of a service.
    pub(crate) fn pod(&self, service: &str) -> &Value {
        &self.deployment(service)["spec"]["template"]["spec"]
    }

    /// The container of a service, not that of its sidecar.
    pub(crate) fn container(&self, service: &str) -> &Value {
        let mut containers = list(&self.pod(service)["containers"]);
        containers
            .find(|container| container["name"] == "service")
            .unwrap()
    }

    /// The values of the generated ConfigMap whose name begins so.
    pub(crate) fn config(&self, name_begins: &str) -> &Value {
        let mut maps = self.of_kind("ConfigMap");
        let found = maps.find(|map| name(map).starts_with(&format!("{name_begins}-")));
        &found.unwrap()["data"]
    }
}

/// The name of a document.
pub(crate) fn name(document: &Value) -> &str {
    document["metadata"]["name"].as_str().unwrap()
}

/// The items of a list; none of what is absent.
pub(crate) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A file or folder of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join(path)
}

/// A document of YAML, as JSON.
pub(crate) fn yaml(text: &str) -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(text);
    let read = documents.map(|document| {
        let mut document = serde_yaml::Value::deserialize(document).unwrap();
        // `<<: *anchor`, which only compose has.
        document.apply_merge().unwrap();
        serde_json::to_value(document).unwrap()
    });
    read.filter(|document| !document.is_null()).collect()
}

/// The command that renders a folder, without the folder.
fn renderer() -> Option<&'static [&'static str]> {
    const COMMANDS: [&[&str]; 2] = [&["kubectl", "kustomize"], &["kustomize", "build"]];
    static FOUND: OnceLock<Option<&'static [&'static str]>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        COMMANDS.into_iter().find(|command| {
            let mut help = Command::new(command[0]);
            let helped = help.args(&command[1..]).arg("--help").output();
            helped.is_ok_and(|output| output.status.success())
        })
    })
}

fn render(renderer: &[&str], folder: &Path) -> Vec<Value> {
    let mut command = Command::new(renderer[0]);
    command
        .args(&renderer[1..])
        // The overlays take what compose and the mesh have, which lies beside them.
        .args(["--load-restrictor", "LoadRestrictionsNone"])
        .arg(folder);
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}: {}",
        folder.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    yaml(&String::from_utf8(output.stdout).unwrap())
}
