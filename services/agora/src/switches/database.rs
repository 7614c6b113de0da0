//! The link of a service to its database.

use async_trait::async_trait;
use chassis::admin::{About, Switch, SwitchState};
use embedded::postgres::DatabaseLink;

use super::counted::Position;
use super::not_ours;
use crate::engines::Databases;
use crate::failure::Failure;

/// The names of the switches, of the databases, and their descriptions.
const ALL: [(&str, &str, &str); 5] = [
    ("queue", "queue", "Queue of jobs (in PostgreSQL)"),
    ("database-users", "users", "Database of users"),
    ("database-orders", "orders", "Database of orders"),
    ("database-products", "products", "Database of products"),
    (
        "database-notifications",
        "notifications",
        "Database of notifications",
    ),
];

/// One of them.
pub(super) struct Database {
    name: &'static str,
    title: &'static str,
    is_ours: bool,
    link: DatabaseLink,
    position: Position,
}

impl Database {
    /// All of them; `are_ours`: they are on the private server.
    pub(super) fn all(databases: &Databases, are_ours: bool) -> Result<Vec<Self>, Failure> {
        let links = databases.links()?;
        let switch = |(name, database, title): (&'static str, &str, &'static str)| {
            let link = links.iter().find(|(of, _)| *of == database);
            link.map(|(_, link)| Self {
                name,
                title,
                is_ours: are_ours,
                link: link.clone(),
                position: Position::new(),
            })
        };
        Ok(ALL.into_iter().filter_map(switch).collect())
    }
}

#[async_trait]
impl Switch for Database {
    fn about(&self) -> About {
        About {
            name: self.name,
            kind: if self.name == "queue" {
                "engine"
            } else {
                "link"
            },
            title: self.title.to_owned(),
            usual: true,
            absent: (!self.is_ours).then(|| not_ours("PostgreSQL", "DATABASE_URL")),
        }
    }

    async fn state(&self) -> SwitchState {
        // The server is only queried while the link is cut.
        if !self.position.is_on()
            && let Ok(refused) = self.link.refused().await
        {
            self.position.count(refused);
        }
        self.position.state()
    }

    async fn set(&self, on: bool) -> Result<(), String> {
        if on == self.position.is_on() {
            return Ok(());
        }
        let refused = self
            .link
            .refused()
            .await
            .map_err(|error| error.to_string())?;
        if on {
            self.link.mend().await.map_err(|error| error.to_string())?;
            self.position.on(refused);
        } else {
            self.position.off(refused);
            if let Err(error) = self.link.cut().await {
                self.position.on(refused);
                return Err(error.to_string());
            }
        }
        Ok(())
    }
}
