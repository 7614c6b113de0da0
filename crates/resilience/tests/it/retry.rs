mod waits;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use resilience::deadline::Deadline;
use resilience::retry::*;
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt, service_fn};

const BASE: Duration = Duration::from_millis(100);
const CAP: Duration = Duration::from_millis(400);

/// A request that knows how many attempts came before, and counts its copies.
#[derive(Debug)]
struct Request {
    repeatable: bool,
    previous: u32,
    copies: Rc<RefCell<u32>>,
}

fn request(repeatable: bool) -> Request {
    Request {
        repeatable,
        previous: 0,
        copies: Rc::default(),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    Again,
    AgainAfter(Duration),
    Hopeless,
}

struct Rules;

impl Policy<Request, &'static str, Broken> for Rules {
    fn copy(&self, request: &Request) -> Option<Request> {
        request.repeatable.then(|| {
            *request.copies.borrow_mut() += 1;
            Request {
                copies: request.copies.clone(),
                ..*request
            }
        })
    }

    fn judge(&self, _: &Request, result: Result<&&'static str, &Broken>) -> Verdict {
        match result {
            Ok(&"busy") | Err(Broken::Again) => Verdict::Retry { after: None },
            Err(Broken::AgainAfter(after)) => Verdict::Retry {
                after: Some(*after),
            },
            Ok(_) | Err(Broken::Hopeless) => Verdict::Final,
        }
    }

    fn is_success(&self, answer: &&'static str) -> bool {
        *answer != "broken"
    }

    fn mark(&self, request: &mut Request, previous: u32) {
        request.previous = previous;
    }
}

type Answer = Result<&'static str, Broken>;

/// Answers with one result after the other, and notes when it was asked and what the request said.
#[derive(Clone)]
struct Script {
    results: Rc<RefCell<VecDeque<Answer>>>,
    asked: Rc<RefCell<Vec<(Instant, u32)>>>,
}

impl Script {
    fn new(results: impl IntoIterator<Item = Answer>) -> Self {
        Self {
            results: Rc::new(RefCell::new(results.into_iter().collect())),
            asked: Rc::default(),
        }
    }

    fn service(
        &self,
    ) -> impl Service<Request, Response = &'static str, Error = Broken, Future: Future> + Clone + use<>
    {
        let script = self.clone();
        service_fn(move |request: Request| {
            script
                .asked
                .borrow_mut()
                .push((Instant::now(), request.previous));
            std::future::ready(script.results.borrow_mut().pop_front().unwrap())
        })
    }

    fn asked(&self) -> usize {
        self.asked.borrow().len()
    }
}

fn layer_with(config: RetryConfig) -> RetryLayer<Rules> {
    let budget = Budget::new(BudgetConfig {
        min_per_second: 100,
        ..BudgetConfig::default()
    });
    RetryLayer::new(Rules, config, budget.unwrap()).unwrap()
}

fn layer() -> RetryLayer<Rules> {
    layer_with(RetryConfig {
        max_attempts: 4,
        backoff_base: BASE,
        backoff_cap: CAP,
        ..RetryConfig::default()
    })
}

async fn call(layer: &RetryLayer<Rules>, script: &Script) -> Answer {
    layer.layer(script.service()).oneshot(request(true)).await
}

#[tokio::test(start_paused = true)]
async fn a_call_is_saved_and_the_callee_knows_the_attempt() {
    let layer = layer();
    let script = Script::new([Err(Broken::Again), Ok("busy"), Ok("answer")]);
    assert_eq!(call(&layer, &script).await, Ok("answer"));
    let previous: Vec<u32> = script.asked.borrow().iter().map(|(_, n)| *n).collect();
    assert_eq!(previous, [0, 1, 2]);
    let stats = layer.stats().snapshot();
    assert_eq!((stats.calls, stats.attempts, stats.retries), (1, 3, 2));
    assert_eq!(stats.retried_successes, 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_result_is_the_callers() {
    let layer = layer();
    let script = Script::new([
        Err(Broken::Again),
        Err(Broken::Again),
        Err(Broken::Again),
        Ok("busy"),
    ]);
    assert_eq!(call(&layer, &script).await, Ok("busy"));
    let script = Script::new([Err(Broken::Again), Err(Broken::Hopeless)]);
    assert_eq!(call(&layer, &script).await, Err(Broken::Hopeless));
    // A final answer, which another attempt would not mend.
    let script = Script::new([Err(Broken::Again), Ok("broken")]);
    assert_eq!(call(&layer, &script).await, Ok("broken"));
    let stats = layer.stats().snapshot();
    assert_eq!((stats.attempts_exhausted, stats.retried_successes), (1, 0));
    assert_eq!((stats.calls, stats.attempts), (3, 8));
}

#[tokio::test(start_paused = true)]
async fn waits_grow_and_are_spread() {
    let mut waits: [Vec<Duration>; 3] = Default::default();
    for _ in 0..200 {
        let script = Script::new([Ok("busy"); 4]);
        call(&layer(), &script).await.unwrap();
        for (pair, waits) in script.asked.borrow().windows(2).zip(&mut waits) {
            waits.push(pair[1].0 - pair[0].0);
        }
    }
    // A timer's millisecond on top.
    for (waits, ceiling) in waits.iter().zip([BASE, BASE * 2, CAP]) {
        let (min, max) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
        assert!(*max <= ceiling + Duration::from_millis(1), "{max:?}");
        assert!(
            *min < ceiling / 4 && *max > ceiling * 3 / 4,
            "{min:?} {max:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_is_given_the_time_it_asks_for_and_some_jitter() {
    let asked = Duration::from_secs(2);
    let (mut min, mut max) = (Duration::MAX, Duration::ZERO);
    for _ in 0..200 {
        let script = Script::new([Err(Broken::AgainAfter(asked)), Ok("answer")]);
        let start = Instant::now();
        assert_eq!(call(&layer(), &script).await, Ok("answer"));
        (min, max) = (min.min(start.elapsed()), max.max(start.elapsed()));
    }
    assert!(min >= asked && min < asked + BASE / 4, "{min:?}");
    assert!(max > asked + BASE * 3 / 4, "{max:?}");
    assert!(max <= asked + BASE + Duration::from_millis(1), "{max:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_too_long_is_left_alone() {
    let layer = layer();
    let asked = Broken::AgainAfter(Duration::from_millis(2001));
    let (script, start) = (Script::new([Err(asked)]), Instant::now());
    assert_eq!(call(&layer, &script).await, Err(asked));
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(layer.stats().snapshot().asked_too_long, 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_tried_past_the_deadline() {
    let (layer, start) = (layer(), Instant::now());
    let asked = Broken::AgainAfter(Duration::from_millis(500));
    let script = Script::new([Err(asked), Err(asked), Err(asked)]);
    let deadline = Deadline::after(Duration::from_secs(1));
    assert_eq!(deadline.scope(call(&layer, &script)).await, Err(asked));
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "not waited for it"
    );
    assert_eq!(script.asked(), 2);
    assert_eq!(layer.stats().snapshot().out_of_time, 1);
}

#[tokio::test(start_paused = true)]
async fn a_dead_dependency_costs_no_more_than_the_budget() {
    let budget = Budget::new(BudgetConfig {
        percent: 10,
        min_per_second: 0,
        ..BudgetConfig::default()
    })
    .unwrap();
    let layer = RetryLayer::new(Rules, RetryConfig::default(), budget).unwrap();
    let script = Script::new([Err(Broken::Again); 1100]);
    for _ in 0..1000 {
        assert_eq!(call(&layer, &script).await, Err(Broken::Again));
    }
    assert!(script.asked() <= 1100, "{}", script.asked());
    let stats = layer.stats().snapshot();
    assert_eq!(stats.attempts, script.asked() as u64);
    assert!(stats.retries >= 90, "{stats:?}");
    let refused = stats.budget_exhausted + stats.attempts_exhausted;
    assert_eq!(refused, stats.calls);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_repeated_is_neither_copied_nor_retried() {
    let (layer, script) = (layer(), Script::new([Err(Broken::Again)]));
    let once = layer.layer(script.service()).oneshot(request(false)).await;
    assert_eq!(once, Err(Broken::Again));
    assert_eq!(layer.stats().snapshot().retries, 0);
}

#[tokio::test(start_paused = true)]
async fn one_attempt_makes_no_copy() {
    let layer = layer_with(RetryConfig {
        max_attempts: 1,
        ..RetryConfig::default()
    });
    let (request, script) = (request(true), Script::new([Err(Broken::Again)]));
    let copies = request.copies.clone();
    let answer = layer.layer(script.service()).oneshot(request).await;
    assert_eq!(answer, Err(Broken::Again));
    assert_eq!(*copies.borrow(), 0);
}

#[test]
fn what_cannot_work_is_refused() {
    let default = RetryConfig::default();
    assert_eq!(default.validate(), Ok(()));
    let refused = |config: RetryConfig| config.validate().unwrap_err().to_string();
    for max_attempts in [0, 11] {
        let config = RetryConfig {
            max_attempts,
            ..default
        };
        let expected = format!("max_attempts is {max_attempts}; allowed is 1 to 10");
        assert_eq!(refused(config), expected);
    }
    let config = RetryConfig {
        backoff_base: Duration::ZERO,
        ..default
    };
    assert_eq!(
        refused(config),
        "backoff_base is 0ns; allowed is more than 0s"
    );
    let config = RetryConfig {
        backoff_cap: Duration::from_millis(24),
        ..default
    };
    assert_eq!(
        refused(config),
        "backoff_cap is 24ms; allowed is at least backoff_base, 25ms"
    );
}

fn answers() -> impl Strategy<Value = Vec<Answer>> {
    let answer = prop_oneof![
        Just(Ok("answer")),
        Just(Ok("busy")),
        Just(Err(Broken::Again)),
        Just(Err(Broken::Hopeless)),
        (0..3000_u64).prop_map(|ms| Err(Broken::AgainAfter(Duration::from_millis(ms)))),
    ];
    proptest::collection::vec(answer, 10)
}

proptest! {
    /// Whatever is answered: never more attempts than configured, never one after a final answer, never one that
    /// begins after the deadline, and always the last result for the caller.
    #[test]
    fn the_bounds_hold(script in answers(), max_attempts in 1..=10_u32, deadline_ms in 0..5000_u64) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let config = RetryConfig { max_attempts, ..RetryConfig::default() };
        let within = Duration::from_millis(deadline_ms);
        let recorder = Script::new(script.clone());
        let (answer, start) = runtime.block_on(async {
            let (start, layer) = (Instant::now(), layer_with(config));
            let call = call(&layer, &recorder);
            (Deadline::after(within).scope(call).await, start)
        });
        let asked = recorder.asked.borrow();
        prop_assert!(asked.len() <= max_attempts as usize);
        prop_assert_eq!(answer, script[asked.len() - 1]);
        let retried = &script[..asked.len() - 1];
        let is_final = |answer: &Answer| matches!(answer, Ok("answer") | Err(Broken::Hopeless));
        prop_assert!(!retried.iter().any(is_final));
        for (at, _) in &asked[1..] {
            prop_assert!(*at - start <= within, "{:?}", *at - start);
        }
    }
}
