//! `ListUsers` over ten thousand users: all of them, in order, as fast as the reader and no faster.

use contracts::users::v1::{ListUsersRequest, User, user_service_client::UserServiceClient};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

use crate::app::{App, authorized};

const USERS: usize = 10_000;

/// What the reader's side of a connection takes in before it is asked for.
const WINDOW_BYTES: u32 = 65_535;

/// How far the service may read ahead of its reader: one page of 100 rows, and what fits into the reader's
/// own HTTP/2 window (64 KiB, some 250 of these users) and the buffers on the way.
const AHEAD_MAX: usize = 1_000;

/// A service with 10,000 users, each some 250 bytes long, and the admin; its database counts in `rows_read`
/// how many of them it was asked for.
async fn crowded() -> (App, String) {
    let app = App::start().await;
    let token = app.admin_token().await;
    sqlx::raw_sql(
        "INSERT INTO users (id, email, name, password_hash)
         SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
                repeat('u', 60) || n || '@example.com', rpad('User ' || n, 100, '.'), 'x'
           FROM generate_series(1, 10000) AS n;
         CREATE SEQUENCE rows_read;
         ALTER TABLE users RENAME TO all_users;
         CREATE VIEW users AS SELECT * FROM all_users WHERE nextval('rows_read') > 0;",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    (app, token)
}

async fn rows_read(app: &App) -> usize {
    let value: i64 = app
        .count("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM rows_read")
        .await;
    usize::try_from(value).unwrap()
}

/// A listing on a connection of its own, whose client takes 64 KiB in advance, as the HTTP/2 standard has it
/// (tonic's default is 2 MiB).
async fn list(app: &App, token: &str, page_size: i32) -> Streaming<User> {
    let endpoint = Endpoint::from_shared(app.grpc_url.clone())
        .unwrap()
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES);
    let channel = endpoint.connect().await.unwrap();
    list_with(
        channel,
        token,
        ListUsersRequest {
            page_size,
            ..Default::default()
        },
    )
    .await
    .unwrap()
}

async fn list_with(
    channel: Channel,
    token: &str,
    request: ListUsersRequest,
) -> Result<Streaming<User>, Status> {
    let request = authorized(request, token);
    let answer = UserServiceClient::new(channel).list_users(request).await;
    Ok(answer?.into_inner())
}

/// Reads to the end: the ids.
async fn drain(mut stream: Streaming<User>) -> Vec<String> {
    let mut ids = Vec::new();
    while let Some(user) = stream.message().await.unwrap() {
        ids.push(user.id);
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn every_user_is_listed_once_and_in_order() {
    let (app, token) = crowded().await;
    for page_size in [0, 1000, 333] {
        let ids = drain(list(&app, &token, page_size).await).await;
        assert_eq!(ids.len(), USERS + 1);
        assert!(ids.is_sorted());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_waited_for() {
    let (app, token) = crowded().await;
    let mut slow = list(&app, &token, 0).await;
    let (mut taken, mut others) = (0, 0);
    while slow.message().await.unwrap().is_some() {
        taken += 1;
        if taken % 2_000 != 1 {
            continue;
        }
        // While the slow one pauses, another reads everything: whatever the service wanted to read ahead,
        // it had the time for it.
        others += drain(list(&app, &token, 0).await).await.len();
        let ahead = rows_read(&app).await - others - taken;
        assert!(
            ahead <= AHEAD_MAX,
            "{ahead} users were read ahead while the reader paused at {taken}"
        );
    }
    assert_eq!(taken, USERS + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_leaves_ends_the_reading() {
    let (app, token) = crowded().await;
    let mut stream = list(&app, &token, 0).await;
    stream.message().await.unwrap().unwrap();
    drop(stream);
    drain(list(&app, &token, 0).await).await;
    let rest = rows_read(&app).await - (USERS + 1);
    assert!(
        rest <= AHEAD_MAX,
        "{rest} users were read for a reader who had left"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_the_list_costs_no_more_than_it_has() {
    let (app, token) = crowded().await;
    let all = drain(list(&app, &token, 0).await).await;
    let channel = Endpoint::from_shared(app.grpc_url.clone()).unwrap();
    let channel = channel.connect().await.unwrap();
    let part = |after: &str, limit| ListUsersRequest {
        after_user_id: after.to_owned(),
        limit,
        ..Default::default()
    };

    let read = rows_read(&app).await;
    let request = part(&all[41], 7);
    let seven = list_with(channel.clone(), &token, request).await.unwrap();
    assert_eq!(drain(seven).await, all[42..49]);
    assert_eq!(rows_read(&app).await - read, 7);
    let request = part(&all[USERS - 1], 7);
    let last = list_with(channel.clone(), &token, request).await.unwrap();
    assert_eq!(drain(last).await, all[USERS..]);

    for request in [part("x", 7), part("", -1)] {
        let refused = list_with(channel.clone(), &token, request).await;
        assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
    }
}
