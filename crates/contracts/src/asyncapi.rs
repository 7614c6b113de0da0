//! The AsyncAPI 3.1 document: every topic, queue and exchange, who writes and reads it, and what is in it.
//!
//! An event that is added is a line in one of the lists here, and one in the list of each service that handles it. The document is made by a test, committed as
//! `docs/interfaces/asyncapi.json`, and served by the gateway. What the lists say is compared with the rights on the brokers,
//! with the declared types, and by each service with its handlers (ADR 31).

mod document;
mod parts;

use crate::events::{
    OrderCancelled, OrderConfirmed, OrderPlaced, OrderPlacedV2, OrderRejected, StockRejected,
    StockReleased, StockReserved, UserCreated,
};
use crate::jobs::EmailJob;
use crate::{queues, topics};

pub use document::{document, received};
use parts::{Channel, Group, Message, message};

/// What is published about orders.
const ORDER_EVENTS: &[Message] = &[
    message::<OrderPlaced>(),
    message::<OrderPlacedV2>(),
    message::<OrderConfirmed>(),
    message::<OrderRejected>(),
    message::<OrderCancelled>(),
];

/// What is published about stock.
const STOCK_EVENTS: &[Message] = &[
    message::<StockReserved>(),
    message::<StockRejected>(),
    message::<StockReleased>(),
];

/// What is published about users.
const USER_EVENTS: &[Message] = &[message::<UserCreated>()];

/// What products answers. A cancelled order gives its stock back.
const READ_BY_PRODUCTS: &[Message] = &[message::<OrderPlacedV2>(), message::<OrderCancelled>()];

/// What customers are told by mail.
const READ_BY_NOTIFICATIONS: &[Message] = &[
    message::<OrderConfirmed>(),
    message::<OrderRejected>(),
    message::<OrderCancelled>(),
];

/// What decides an order.
const READ_BY_ORDERS: &[Message] = &[message::<StockReserved>(), message::<StockRejected>()];

/// What workers are asked to do.
const EMAIL_JOBS: &[Message] = &[message::<EmailJob>()];

/// Every topic, queue and exchange. Each group of a topic has its dead letters and its way back beside it, each queue its
/// dead letters.
const CHANNELS: &[Channel] = &[
    Channel::Topic {
        name: topics::ORDER_EVENTS,
        about: "Facts about orders, keyed by the order's id.",
        writer: "orders",
        groups: &[
            Group {
                name: "products",
                reads: READ_BY_PRODUCTS,
            },
            Group {
                name: "notifications",
                reads: READ_BY_NOTIFICATIONS,
            },
        ],
        messages: ORDER_EVENTS,
    },
    Channel::Topic {
        name: topics::STOCK_EVENTS,
        about: "Decisions about stock, keyed by the order's id.",
        writer: "products",
        groups: &[Group {
            name: "orders",
            reads: READ_BY_ORDERS,
        }],
        messages: STOCK_EVENTS,
    },
    Channel::Topic {
        name: topics::USER_EVENTS,
        about: "Facts about users, keyed by the user's id.",
        writer: "users",
        groups: &[Group {
            name: "notifications",
            reads: USER_EVENTS,
        }],
        messages: USER_EVENTS,
    },
    Channel::Queue {
        name: queues::EMAIL_JOBS,
        about: "Mails to send, each by one of several workers.",
        writer: Some("notifications"),
        reader: "notifications",
        messages: EMAIL_JOBS,
    },
    Channel::Fanout {
        name: queues::USER_CREATED,
        about: "Sign-ups: a copy to each bound queue.",
        writer: "users",
        queues: &[queues::USER_CREATED_WELCOME, queues::USER_CREATED_AUDIT],
        messages: USER_EVENTS,
    },
    Channel::Queue {
        name: queues::USER_CREATED_WELCOME,
        about: "The copies for the welcome mail.",
        writer: None,
        reader: "notifications",
        messages: USER_EVENTS,
    },
    Channel::Queue {
        name: queues::USER_CREATED_AUDIT,
        about: "The copies for the audit trail.",
        writer: None,
        reader: "notifications",
        messages: USER_EVENTS,
    },
];
