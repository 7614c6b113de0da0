// Hops as the observatory tells them, for tests. Times are microseconds after the beginning.

const BEGIN = 1_795_912_530_659_665;

// A hop: who tells it, of what, from where to where, when.
export function hop(id, parent, side, kind, [from, to], name, [start, end], more = {}) {
  const service = side === "client" || side === "producer" || side === "internal" ? from : to;
  return {
    id, parent, service, from, to, kind, side, name, attempt: 1, outcome: end === null ? null : "ok", status: null, fault: null,
    breaker: null, causation_id: null, sequence: null, started_at: BEGIN + start, ended_at: end === null ? null : BEGIN + end,
    duration_us: end === null ? null : end - start, detail: {}, ...more,
  };
}

// One purchase from the click to the mail.
export const purchase = {
  trace_id: "a".repeat(32),
  name: "POST /api/orders",
  dropped: 0,
  hops: [
    hop("01", null, "server", "http", [null, "gateway"], "POST /api/orders", [0, 21_000], { status: "201" }),
    hop("02", "01", "client", "http", ["gateway", "orders"], "POST /v1/orders", [700, 20_200], { status: "201" }),
    hop("03", "02", "server", "http", ["gateway", "orders"], "POST /v1/orders", [1_100, 19_800], { status: "201" }),
    hop("04", "03", "client", "grpc", ["orders", "products"], "CatalogService/Quote", [2_500, 6_900]),
    hop("05", "04", "server", "grpc", ["orders", "products"], "CatalogService/Quote", [2_900, 6_500]),
    hop("06", "03", "producer", "outbox", ["orders", "orders outbox"], "agora.order.placed.v1", [18_500, 24_500]),
    hop("07", "06", "producer", "kafka", ["orders", "order-events"], "agora.order.placed.v1", [24_500, 26_800]),
    hop("08", "07", "consumer", "kafka", ["order-events", "products"], "agora.order.placed.v1", [33_000, 41_000]),
    hop("09", "08", "producer", "kafka", ["products", "stock-events"], "agora.stock.reserved.v1", [43_000, 45_000]),
    hop("10", "09", "consumer", "kafka", ["stock-events", "orders"], "agora.stock.reserved.v1", [49_000, 55_000]),
    hop("11", "10", "producer", "queue", ["notifications", "email.jobs"], "agora.email.requested.v1", [70_500, 71_500]),
    hop("12", "11", "consumer", "queue", ["email.jobs", "notifications"], "agora.email.requested.v1", [190_000, 215_000]),
  ],
};

// A dashboard while orders hangs and the breaker of products is open.
export const broken = {
  trace_id: "b".repeat(32),
  name: "GET /api/dashboard/{user_id}",
  dropped: 0,
  hops: [
    hop("01", null, "server", "http", [null, "gateway"], "GET /api/dashboard/{user_id}", [0, 2_030_000]),
    hop("02", "01", "client", "http", ["gateway", "orders"], "GET /v1/users/{id}/orders", [700, 1_000_700], { outcome: "timeout", fault: "hang" }),
    hop("03", "01", "client", "http", ["gateway", "orders"], "GET /v1/users/{id}/orders", [1_010_700, 2_000_700], { outcome: "timeout", attempt: 2 }),
    hop("04", "01", "client", "http", ["gateway", "products"], "GET /v1/products", [850, 900], { outcome: "refused", breaker: "open" }),
    hop("05", "01", "client", "grpc", ["gateway", "users"], "UserService/GetUser", [950, null]),
  ],
};
