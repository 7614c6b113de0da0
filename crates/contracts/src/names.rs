//! Names on the brokers: who publishes and who reads is said where the name is.

/// Kafka topics. Each is written by one service, keyed by the aggregate's id.
pub mod topics {
    /// Facts about orders, keyed by the order's id. Written by `orders`.
    pub const ORDER_EVENTS: &str = "order-events";
    /// Decisions about stock, keyed by the order's id. Written by `products`.
    pub const STOCK_EVENTS: &str = "stock-events";
    /// Facts about users, keyed by the user's id. Written by `users`.
    pub const USER_EVENTS: &str = "user-events";
}

/// Work queues, and the exchanges that copy a message into several of them.
pub mod queues {
    /// Mails to send, one job each. Written and worked on by `notifications`.
    pub const EMAIL_JOBS: &str = "email.jobs";
    /// The exchange in which `users` announces a sign-up: one copy to each bound queue.
    pub const USER_CREATED: &str = "user.created";
    /// The queue of `notifications` at [`USER_CREATED`], for the welcome mail.
    pub const USER_CREATED_WELCOME: &str = "user.created.notifications";
    /// The queue of the audit trail at [`USER_CREATED`], read by `notifications` too: a copy of its own, so that
    /// neither waits for the other.
    pub const USER_CREATED_AUDIT: &str = "user.created.audit";
}

/// CloudEvents `source` of what each service publishes. A type belongs to one of them ([`crate::events`]), and
/// consumers take it from no other.
pub mod sources {
    /// The service of users, credentials and keys.
    pub const USERS: &str = "/services/users";
    /// The service of orders.
    pub const ORDERS: &str = "/services/orders";
    /// The service of the catalogue and its stock.
    pub const PRODUCTS: &str = "/services/products";
    /// The service that writes to customers.
    pub const NOTIFICATIONS: &str = "/services/notifications";
}
