//! Work to be done once by somebody: jobs travel in the same envelope as events, but in a queue.

use envelope::EventData;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use uuid::Uuid;

use crate::sources;

/// One mail to send. The id of its event is the job's id, and the mail's `Message-ID`.
///
/// On the wire the kind of mail is the member `template`, beside what that mail needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(tag = "template", rename_all = "snake_case")]
pub enum EmailJob {
    /// The customer signed up.
    Welcome {
        /// Who gets it.
        user_id: Uuid,
        /// The address as it was given at sign-up: the job's worker need not know the user yet.
        email: String,
        /// How to address them.
        name: String,
    },
    /// The purchase stands.
    OrderConfirmed {
        /// Who gets it.
        user_id: Uuid,
        /// The order, which the mail names.
        order_id: Uuid,
        /// What the order costs, in the currency's minor unit.
        total_amount: i64,
        /// ISO 4217 code.
        currency: String,
    },
    /// The order cannot be fulfilled.
    OrderRejected {
        /// Who gets it.
        user_id: Uuid,
        /// The order, which the mail names.
        order_id: Uuid,
        /// Why it was rejected.
        reason: String,
    },
    /// The customer took the order back.
    OrderCancelled {
        /// Who gets it.
        user_id: Uuid,
        /// The order, which the mail names.
        order_id: Uuid,
    },
}

impl EmailJob {
    /// The kind of mail, for logs and metrics.
    #[must_use]
    pub fn template(&self) -> &'static str {
        self.into()
    }

    /// Who gets it.
    #[must_use]
    pub fn user_id(&self) -> Uuid {
        match self {
            Self::Welcome { user_id, .. }
            | Self::OrderConfirmed { user_id, .. }
            | Self::OrderRejected { user_id, .. }
            | Self::OrderCancelled { user_id, .. } => *user_id,
        }
    }

    /// The order that it is about, if it is about one.
    #[must_use]
    pub fn order_id(&self) -> Option<Uuid> {
        match self {
            Self::Welcome { .. } => None,
            Self::OrderConfirmed { order_id, .. }
            | Self::OrderRejected { order_id, .. }
            | Self::OrderCancelled { order_id, .. } => Some(*order_id),
        }
    }
}

impl EventData for EmailJob {
    const TYPE: &'static str = "agora.email.requested.v1";
    const SOURCE: &'static str = sources::NOTIFICATIONS;

    /// The order when the mail is about one, else the user.
    fn subject(&self) -> String {
        self.order_id().unwrap_or(self.user_id()).to_string()
    }
}
