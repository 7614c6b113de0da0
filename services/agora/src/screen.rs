//! The text for a person when all is ready: one screen, with commands to paste.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use crate::demo::{Demo, EMAIL, PASSWORD};
use crate::services::{Addresses, http};

/// The screen. `logs_here` says that the log is on the terminal too.
pub(crate) fn text(
    at: &Addresses,
    engines: &str,
    demo: &Demo,
    data: &Path,
    logs_here: bool,
) -> String {
    let log = if logs_here { "" } else { "agora.log, " };
    let mut screen = String::new();
    let mut line = |text: &str| {
        screen.push_str(text);
        screen.push('\n');
    };
    let shop = http(at.gateway);
    line(&format!("Agora is open. In a browser: {shop}/"));
    line("");
    let mut service = |name: &str, serves: &str, admin| {
        line(&format!("  {name:<14} {serves:<46} admin {}", http(admin)));
    };
    service("gateway", &shop, at.gateway_admin);
    service("orders", &http(at.orders), at.orders_admin);
    let products = format!("{}, gRPC {}", http(at.products), at.products_grpc);
    service("products", &products, at.products_admin);
    service("users", &format!("gRPC {}", at.users), at.users_admin);
    service("notifications", "", at.notifications_admin);
    service("observatory", &http(at.observatory), at.observatory_admin);
    line("");
    line(&format!("  engines        {engines}"));
    line(&format!("  data           {}", data.display()));
    line(&format!(
        "  in there       endpoints.json, admin.json (the administrator), {log}mail/"
    ));
    line("");
    line(&format!(
        "Buy something as {EMAIL} (password: {PASSWORD}). Paste into another terminal:"
    ));
    line("");
    for command in commands(&shop, demo) {
        line(&command);
        line("");
    }
    line("Ctrl-C stops it.");
    screen
}

/// The line at the beginning of a stop: what it waits for, how long at most, and how to end it at once.
pub(crate) fn stopping(signal: &str, at_most: Duration) -> String {
    format!(
        "Stopping ({signal}): each service finishes what it has begun, all of them within {} s. Ctrl-C now ends it at \
         once.",
        at_most.as_secs()
    )
}

/// Sign in, order, look. Only curl and sed, which every machine has.
fn commands(shop: &str, demo: &Demo) -> [String; 3] {
    let json = "-H 'content-type: application/json'";
    let bearer = r#"-H "authorization: Bearer $TOKEN""#;
    let mut sign_in = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        sign_in,
        r#"TOKEN=$(curl -s {shop}/api/sessions {json} -d '{{"email":"{EMAIL}","password":"{PASSWORD}"}}' | sed 's/.*"access_token": *"\([^"]*\)".*/\1/')"#
    );
    let order = match &demo.product {
        Some((id, _)) => format!(
            r#"curl -s {shop}/api/orders {bearer} {json} -d '{{"items":[{{"product_id":"{id}","quantity":1}}]}}'"#
        ),
        // Sold out: a command that still shows something.
        None => format!("curl -s {shop}/api/products"),
    };
    [
        sign_in,
        order,
        format!("curl -s {shop}/api/dashboard/{} {bearer}", demo.customer_id),
    ]
}
