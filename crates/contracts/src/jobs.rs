//! Work to be done once by somebody: jobs travel in the same envelope as events, but in a queue.

use envelope::EventData;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::sources;

/// Which mail to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Template {
    /// The purchase stands.
    OrderConfirmed,
    /// The order cannot be fulfilled.
    OrderRejected,
    /// The customer took the order back.
    OrderCancelled,
    /// The customer signed up.
    Welcome,
}

/// One mail to send. The id of its event is the job's id, and the mail's `Message-ID`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailJob {
    /// Who gets it.
    pub user_id: Uuid,
    /// The order that it is about, which the mail names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<Uuid>,
    /// Which mail.
    pub template: Template,
    /// Why an order was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the order costs, in the currency's minor unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_amount: Option<i64>,
    /// ISO 4217 code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// The address, when the job's author knows it; else the worker looks it up by `user_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// How to address them, when the job's author knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl EventData for EmailJob {
    const TYPE: &'static str = "agora.email.requested.v1";
    const SOURCE: &'static str = sources::NOTIFICATIONS;

    /// The order when the mail is about one, else the user.
    fn subject(&self) -> String {
        self.order_id.unwrap_or(self.user_id).to_string()
    }
}
