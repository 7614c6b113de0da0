//! Which scenarios there are, and what each has to itself.

use scenarios::Marketplace;
use scenarios::compose::Compose;
use scenarios::embedded::Embedded;

use crate::stage::Open;
use crate::{
    bad_input, budget, compose, crash, graphql, grpc, hanging, hostile, idempotency, identity,
    journey, live, memory, mesh, operations, page, purchase, recorded, replicas, saga, shutdown,
    stock, story, subscriptions, trace, versions,
};

/// A scenario that shares a marketplace with others.
pub(crate) type Shared = (&'static str, fn(&Open<'_>));
/// A scenario that has a marketplace alone, with these variables in its environment.
pub(crate) type Alone = (
    &'static str,
    &'static [(&'static str, &'static str)],
    fn(&mut dyn Marketplace),
);
/// A scenario about what only `agora up` has, which has one alone.
pub(crate) type OnEmbedded = (&'static str, fn(&mut Embedded));
/// A scenario that starts what it needs itself, `agora up` among it.
pub(crate) type Own = (&'static str, fn());
/// A scenario about containers, which has them alone.
pub(crate) type Containers = (&'static str, fn(&mut Compose));

pub(crate) const SHARED: &[Shared] = &[
    ("purchase_reaches_every_hop", purchase::reaches_every_hop),
    ("dashboard_shows_the_purchase", purchase::dashboard_shows_it),
    ("purchase_by_graphql", graphql::purchase),
    (
        "more_than_in_stock_is_rejected",
        stock::more_than_in_stock_is_rejected,
    ),
    ("all_lines_or_none", stock::all_lines_or_none),
    ("cancel_brings_stock_back", stock::cancel_brings_it_back),
    (
        "cancelled_at_once_is_told_in_order",
        stock::cancelled_at_once_is_told_in_order,
    ),
    ("last_piece_is_sold_once", stock::last_piece_is_sold_once),
    (
        "one_idempotency_key_one_order",
        idempotency::one_key_one_order,
    ),
    ("strangers_learn_nothing", identity::strangers_learn_nothing),
    ("bad_tokens_are_refused", identity::bad_tokens_are_refused),
    (
        "users_belong_to_administrators",
        identity::users_belong_to_administrators,
    ),
    (
        "bad_input_gets_its_documented_answer",
        bad_input::gets_its_documented_answer,
    ),
    (
        "duplicate_email_is_a_conflict",
        bad_input::duplicate_email_is_a_conflict,
    ),
    (
        "a_stream_tells_an_order_from_beginning_to_end",
        live::tells_an_order_from_beginning_to_end,
    ),
    (
        "a_recorded_client_of_version_1_is_answered_as_ever",
        recorded::a_client_of_version_1_is_answered_as_ever,
    ),
    ("both_versions_show_one_shop", versions::show_one_shop),
    (
        "grpc_pages_through_a_users_orders",
        grpc::pages_through_a_users_orders,
    ),
];

pub(crate) const ALONE: &[Alone] = &[
    // Those without variables first: containers are made anew for each change of them.
    (
        "a_journey_shows_each_hop_once",
        &[],
        journey::shows_each_hop_once,
    ),
    (
        "kill_9_loses_and_doubles_nothing",
        &[],
        crash::kill_9_loses_and_doubles_nothing,
    ),
    ("a_stream_survives_restarts", &[], live::survives_restarts),
    (
        "subscriptions_survive_restarts",
        &[],
        subscriptions::survive_restarts,
    ),
    (
        "sigterm_answers_all_in_flight",
        &[],
        shutdown::sigterm_answers_all_in_flight,
    ),
    (
        "trace_follows_a_purchase",
        &[("RUST_LOG", "info,chassis=debug")],
        trace::follows_a_purchase,
    ),
    (
        "a_purchase_is_told_by_the_log",
        &[("LOG_FORMAT", "json")],
        story::is_told_by_the_log,
    ),
    (
        "lost_event_is_asked_for_again",
        &[("SAGA_DEADLINE", "1s")],
        saga::lost_event_is_asked_for_again,
    ),
    (
        "rotated_key_keeps_old_tokens",
        &[("KEY_ROTATION", "4s")],
        identity::rotated_key_keeps_old_tokens,
    ),
    (
        "twins_of_an_event_take_effect_once",
        &[("ORDER_PLACED_VERSIONS", "v1,v2")],
        versions::twins_take_effect_once,
    ),
];

/// Scenarios with what only `agora up` has: fault switches, a database server of its own. They measure, so nobody is beside them.
pub(crate) const EMBEDDED: &[OnEmbedded] = &[
    (
        "hanging_service_costs_a_bounded_time",
        hanging::hanging_service_costs_a_bounded_time,
    ),
    ("orders_keep_to_their_budget", budget::orders_keep_to_it),
    ("an_outage_is_shown_as_a_wait", journey::outage::on_embedded),
];

/// Scenarios with what only `agora up` has that measure nothing: containers are beside them.
pub(crate) const BESIDE: &[OnEmbedded] = &[
    (
        "recorded_events_take_effect_as_ever",
        recorded::events::take_effect_as_ever,
    ),
    (
        "streams_move_from_one_replica_to_another",
        replicas::streams_move_from_one_to_another,
    ),
    (
        "every_operation_answers_each_caller_as_listed",
        operations::answer_each_caller_as_listed,
    ),
];

/// Scenarios that start `agora up` themselves, with a neighbour that it has to be told of.
pub(crate) const OWN: &[Own] = &[
    (
        "spans_follow_the_conventions",
        journey::exported::by_the_conventions,
    ),
    (
        "no_secret_is_in_the_picture",
        journey::canary::no_secret_is_in_the_picture,
    ),
];

/// Scenarios of one process that take many minutes; played when `AGORA_LONG=1` asks for them.
pub(crate) const LONG: &[OnEmbedded] = &[(
    "memory_does_not_grow_with_orders",
    memory::does_not_grow_with_orders,
)];

/// Scenarios of the page in a browser, on a marketplace that they have one after the other: they break and mend it.
pub(crate) const IN_BROWSER: &[OnEmbedded] = &[
    ("page_sells_by_mouse", page::sells_by_mouse),
    (
        "page_sells_by_keyboard_on_a_phone",
        page::sells_by_keyboard_on_a_phone,
    ),
    ("page_shows_what_happens", page::shows_what_happens),
    (
        "page_console_and_reference",
        page::doors::console_and_reference,
    ),
    ("page_is_accessible", page::accessible::views),
    ("page_is_accessible_in_use", page::accessible::in_use),
    ("page_plays_a_journey", page::play::plays_a_journey),
    ("page_shows_no_secret", journey::canary::is_in_no_page),
    ("page_shows_markup_as_text", page::hostile::markup_is_text),
    (
        "page_asks_for_an_administrator",
        page::asks_for_an_administrator,
    ),
    ("page_tour_happens", page::tour::happens),
    (
        "page_switches_take_away_and_give_back",
        page::breaks::switches_take_away_and_give_back,
    ),
    (
        "page_edges_are_broken_and_mended",
        page::breaks::edges_are_broken_and_mended,
    ),
    (
        "page_loads_and_messages_come_and_go",
        page::breaks::loads_and_messages_come_and_go,
    ),
    (
        "page_faults_that_are_not_taken_are_disabled",
        page::breaks::what_takes_no_faults_says_so,
    ),
    (
        "page_reload_in_the_middle_loses_nothing",
        page::a_reload_in_the_middle_loses_nothing,
    ),
    ("page_two_tabs_see_one_shop", page::two_tabs_see_one_shop),
    (
        "page_looks_as_it_is_asked_to",
        page::looks_as_it_is_asked_to,
    ),
];

/// Scenarios of promise 9, about one client that misbehaves, on a marketplace that they have one after the other.
pub(crate) const HOSTILE: &[OnEmbedded] = &[
    ("no_input_costs_another", hostile::no_input_costs_another),
    ("stalled_posts_cost_no_other", hostile::plays::stalled_posts),
    ("empty_calls_cost_no_other", hostile::plays::empty_calls),
    ("unread_lists_cost_no_other", hostile::plays::unread_lists),
    ("forged_keys_cost_no_other", hostile::plays::forged_keys),
    (
        "unknown_sign_ins_cost_no_other",
        hostile::plays::unknown_sign_ins,
    ),
    ("made_up_names_cost_no_other", hostile::plays::made_up_names),
];

pub(crate) const CONTAINERS: &[Containers] = &[
    (
        "only_documented_ports_are_open",
        compose::isolation::only_documented_ports_are_open,
    ),
    (
        "no_service_reads_anothers_database",
        compose::isolation::no_service_reads_anothers_database,
    ),
    (
        "no_service_writes_anothers_topic",
        compose::isolation::no_service_writes_anothers_topic,
    ),
    (
        "observatory_frozen_or_killed_costs_nothing",
        compose::services::observatory_frozen_or_killed_costs_nothing,
    ),
    (
        "every_panel_and_rule_has_data",
        compose::observability::every_panel_and_rule_has_data,
    ),
    (
        "kafka_knows_no_strangers",
        compose::isolation::kafka_knows_no_strangers,
    ),
    (
        "dead_letters_are_looked_at_sent_again_and_dropped",
        compose::dead_letters::are_looked_at_sent_again_and_dropped,
    ),
];

/// The page on containers; played when `AGORA_LONG=1` asks for it, where there is a browser.
pub(crate) const CONTAINERS_IN_BROWSER: &[Containers] = &[(
    "page_sells_shows_and_says",
    page::containers::sells_shows_and_says,
)];

/// Scenarios that break containers for minutes; played when `AGORA_CHAOS=1` asks for them.
pub(crate) const CHAOS: &[Containers] = &[
    (
        "sigterm_of_each_service_answers_what_is_in_flight",
        compose::services::sigterm_answers_what_is_in_flight,
    ),
    (
        "kill_9_of_each_service_loses_and_doubles_nothing",
        compose::services::kill_9_loses_and_doubles_nothing,
    ),
    (
        "replicas_share_the_work_and_take_over",
        compose::services::replicas_share_the_work_and_take_over,
    ),
    (
        "replicas_one_by_one_fail_nothing",
        compose::services::replicas_one_by_one_fail_nothing,
    ),
    (
        "kafka_frozen_refuses_no_order",
        compose::engines::kafka_frozen_refuses_no_order,
    ),
    (
        "kafka_killed_refuses_no_order",
        compose::engines::kafka_killed_refuses_no_order,
    ),
    ("an_outage_is_shown_as_a_wait", journey::outage::on_compose),
    (
        "rabbitmq_restarted_loses_no_mail",
        compose::engines::rabbitmq_restarted_loses_no_mail,
    ),
    (
        "postgresql_restarted_is_waited_for",
        compose::engines::postgresql_restarted_is_waited_for,
    ),
    (
        "services_wait_for_engines_that_come_late",
        compose::engines::services_wait_for_engines_that_come_late,
    ),
];

/// What customers do, in a mesh: gRPC, REST, GraphQL and streams of events go through its sidecars.
pub(crate) const MESH_SHARED: &[Shared] = &[
    ("purchase_reaches_every_hop", purchase::reaches_every_hop),
    ("purchase_by_graphql", graphql::purchase),
    (
        "a_stream_tells_an_order_from_beginning_to_end",
        live::tells_an_order_from_beginning_to_end,
    ),
];

/// Scenarios about the mesh itself.
pub(crate) const MESH: &[Containers] = &[
    (
        "exactly_the_table_passes",
        mesh::doors::exactly_the_table_passes,
    ),
    ("strangers_are_refused", mesh::doors::strangers_are_refused),
    ("no_session_is_resumed", mesh::doors::no_session_is_resumed),
    ("clear_text_is_refused", mesh::doors::clear_text_is_refused),
    (
        "who_gives_up_ends_no_connection",
        mesh::doors::who_gives_up_ends_no_connection,
    ),
    (
        "a_packet_capture_shows_no_order_in_clear",
        mesh::capture::shows_no_order_in_clear,
    ),
    (
        "sidecars_carry_streams_and_know_callers",
        mesh::sidecars::carry_streams_and_know_callers,
    ),
    (
        "sidecars_tell_their_services_who_calls",
        mesh::sidecars::tell_their_services_who_calls,
    ),
    (
        "a_sidecar_that_dies_is_told_and_missed_by_nobody",
        mesh::sidecars::one_that_dies_is_told_and_missed_by_nobody,
    ),
];

/// What takes minutes in a mesh; played when `AGORA_LONG=1` asks for it. Those of containers that are not here need what a mesh
/// does not have: deploy/mesh/README.md says what.
pub(crate) const MESH_LONG: &[Containers] = &[
    (
        "new_certificates_and_authorities_fail_no_request",
        mesh::rotation::fails_no_request,
    ),
    (
        "the_mesh_alone_keeps_reads_whole",
        mesh::mishaps::keep_reads_whole,
    ),
    (
        "instances_one_by_one_fail_nothing",
        mesh::sidecars::instances_one_by_one_fail_nothing,
    ),
    (
        "pods_one_by_one_fail_nothing",
        mesh::pods::one_by_one_fail_nothing,
    ),
    (
        "sigterm_of_each_service_answers_what_is_in_flight",
        compose::services::sigterm_answers_what_is_in_flight,
    ),
    (
        "kill_9_of_each_service_loses_and_doubles_nothing",
        compose::services::kill_9_loses_and_doubles_nothing,
    ),
    (
        "kafka_frozen_refuses_no_order",
        compose::engines::kafka_frozen_refuses_no_order,
    ),
    (
        "kafka_killed_refuses_no_order",
        compose::engines::kafka_killed_refuses_no_order,
    ),
    (
        "rabbitmq_restarted_loses_no_mail",
        compose::engines::rabbitmq_restarted_loses_no_mail,
    ),
    (
        "postgresql_restarted_is_waited_for",
        compose::engines::postgresql_restarted_is_waited_for,
    ),
];
