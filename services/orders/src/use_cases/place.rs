//! Placing an order: requests the prices, then writes everything in one statement, which orders that are placed at the same time
//! share.

use std::collections::HashMap;

use axum::body::Bytes;
use chassis::auth::Caller;
use http::StatusCode;
use outbox::Told;
use uuid::Uuid;

use crate::{
    app::App,
    domain::{Currency, Money, Order, Priced},
    error::Error,
    events,
    idempotency::{IdempotencyKey, request_hash},
    request::OrderRequest,
    store::{self, Claim, Claimed, NewOrder},
    view::Version,
};

/// The answer to a placed order.
#[derive(Debug)]
pub(crate) struct Answer {
    /// In the form of this version of the API.
    pub(crate) version: Version,
    /// Which order.
    pub(crate) order_id: Uuid,
    /// 201, or the status of the first answer.
    pub(crate) status: StatusCode,
    /// JSON.
    pub(crate) body: Bytes,
    /// Whether it repeats a stored answer.
    pub(crate) replayed: bool,
}

/// Places an order for the caller, or repeats the answer that is stored under the same key.
///
/// The call for prices comes before the statement, so that neither a connection nor a lock is held during the call. A stored
/// answer needs no prices, so it is looked up first.
pub(crate) async fn place(
    app: &App,
    caller: &Caller,
    key: Option<IdempotencyKey>,
    request: OrderRequest,
    version: Version,
) -> Result<Answer, Error> {
    let hash = request_hash(request.basket(), request.shipping_address());
    let given = replay(app, caller.user_id, key.as_ref(), &hash, version);
    if let Some(answer) = given.await? {
        return Ok(answer);
    }
    // From here on the key is running. A request that ends between the lookup and this line is found by the claim.
    let _running = key
        .as_ref()
        .map(|key| app.running.enter(caller.user_id, key))
        .transpose()?;

    let priced = price(app, caller, &request).await?;
    let order = Order::place(
        Uuid::now_v7(),
        caller.user_id,
        priced,
        app.now(),
        app.saga_deadline,
    )
    .sent_to(request.shipping_address().cloned());
    let answer = Answer {
        version,
        order_id: order.id,
        status: StatusCode::CREATED,
        body: version.encode(&order)?,
        replayed: false,
    };

    let new = new_order(app, order, key.as_ref(), hash, &answer)?;
    match app.placer.place(new).await? {
        Claimed::Placed => {
            metrics::counter!("orders_placed_total").increment(1);
            tracing::info!(order_id = %answer.order_id, "order accepted");
            Ok(answer)
        }
        Claimed::Running => Err(Error::KeyRunning),
        // Another request stored its answer between the lookup and the claim.
        Claimed::Taken => replay(app, caller.user_id, key.as_ref(), &hash, version)
            .await?
            .ok_or(Error::KeyRunning),
    }
}

/// The order with its event, and the answer under the key.
fn new_order(
    app: &App,
    order: Order,
    key: Option<&IdempotencyKey>,
    request_hash: [u8; 32],
    answer: &Answer,
) -> Result<NewOrder, Error> {
    let claim = key.map(|key| Claim {
        key: key.as_str().to_owned(),
        lock: key.lock(order.user_id),
        request_hash,
        status_code: answer.status.as_u16(),
        body: answer.body.clone(),
    });
    let mut told = Told::default();
    events::tell_placed(&mut told, &order, app.placed_versions)?;
    Ok(NewOrder { order, told, claim })
}

/// The answer that is stored under the key, if there is one for the same request.
async fn replay(
    app: &App,
    user_id: Uuid,
    key: Option<&IdempotencyKey>,
    request_hash: &[u8],
    version: Version,
) -> Result<Option<Answer>, Error> {
    let Some(key) = key else {
        return Ok(None);
    };
    let Some(stored) = store::find_answer(&app.pool, user_id, key.as_str()).await? else {
        return Ok(None);
    };
    if stored.request_hash != request_hash {
        return Err(Error::KeyReused);
    }
    metrics::counter!("orders_replayed_total").increment(1);
    Ok(Some(Answer {
        version,
        order_id: stored.order_id,
        status: stored.status_code.0,
        body: version.shown_again(stored.body)?,
        replayed: true,
    }))
}

/// Asks the catalogue for the prices of all lines in one call.
async fn price(app: &App, caller: &Caller, request: &OrderRequest) -> Result<Priced, Error> {
    let quote = app
        .catalog
        .quote(&caller.token, request.basket().products())
        .await?;
    let mut prices = HashMap::with_capacity(quote.prices.len());
    for price in quote.prices {
        let product = price
            .product_id
            .parse()
            .map_err(|_| Error::BadQuote("a product id"))?;
        let currency: Currency = price
            .currency
            .parse()
            .map_err(|_| Error::BadQuote("a currency"))?;
        prices.insert(product, Money::new(price.unit_price, currency));
    }
    request
        .basket()
        .price(&prices)
        .map_err(|why| match request.unpriced(why) {
            Ok(errors) => Error::Invalid(errors),
            Err(_) => Error::BadQuote("prices"),
        })
}
