//! Weights that follow load.

use std::sync::Arc;

use super::world::*;
use crate::load::{Policy, Reading, Source, Wish};

fn loaded() -> World {
    let mut service = www(1, &[1, 2]);
    for real in &mut service.reals {
        real.load = Some(Arc::new(Policy {
            source: Source::Agent { port: 7777, send: None },
            interval: 2 * SECOND,
            timeout: SECOND,
            min_percent: 10,
            max_percent: 100,
            smooth_percent: 50,
            dead_band_percent: 10,
            stale: 7 * SECOND,
        }));
    }
    World::new(config(vec![service]))
}

fn says(world: &mut World, n: u8, percent: f64, state: Option<Wish>) {
    let reading = Reading { percent: Some(percent), state, why: None };
    world.loads.insert(real(n).ip(), Ok(reading));
}

#[test]
fn a_loaded_server_gets_less_within_seconds_and_recovers() {
    let mut world = loaded();
    says(&mut world, 1, 100.0, None);
    says(&mut world, 2, 100.0, None);
    world.run(10 * SECOND);
    assert_eq!(world.table(1), "1:10 2:10");
    says(&mut world, 1, 20.0, None);
    world.run(10 * SECOND);
    let weight = world.real("www", "web1").kernel_weight;
    assert!((2..=3).contains(&weight), "{weight}");
    assert_eq!(world.real("www", "web2").kernel_weight, 10);
    says(&mut world, 1, 100.0, None);
    world.run(20 * SECOND);
    assert_eq!(world.table(1), "1:10 2:10");
}

#[test]
fn without_news_the_configured_weight_holds_and_it_is_said() {
    let mut world = loaded();
    says(&mut world, 1, 20.0, None);
    says(&mut world, 2, 100.0, None);
    world.run(10 * SECOND);
    assert_eq!(world.table(1), "1:2 2:10");
    world.loads.remove(&real(1).ip());
    world.run(4 * SECOND);
    assert_eq!(world.table(1), "1:2 2:10", "not for a single lost answer");
    world.run(6 * SECOND);
    assert_eq!(world.table(1), "1:10 2:10");
    assert!(world.degraded().contains("www/web1 does not tell its load: no answer"));
}

#[test]
fn a_server_may_drain_itself_or_say_that_it_is_down() {
    let mut world = loaded();
    says(&mut world, 2, 100.0, None);
    for (wish, state) in
        [(Wish::Drain, "drain"), (Wish::Maintenance, "maintenance"), (Wish::Down, "down"), (Wish::Up, "up")]
    {
        says(&mut world, 1, 100.0, Some(wish));
        world.run(5 * SECOND);
        let shown = world.real("www", "web1");
        assert_eq!(shown.state, state);
        assert_eq!(shown.kernel_weight, if wish == Wish::Up { 10 } else { 0 });
    }
}

#[test]
fn why_a_server_is_down_is_told_in_its_own_words() {
    let mut world = loaded();
    says(&mut world, 2, 100.0, None);
    let reading = |why: &str| Reading { percent: None, state: Some(Wish::Down), why: Some(why.to_owned()) };
    world.loads.insert(real(1).ip(), Ok(reading("the disk is full")));
    world.run(5 * SECOND);
    assert!(
        world.degraded().contains("www/web1 is down: it says itself that it is down: the disk is full"),
        "{}",
        world.degraded()
    );
    world.loads.insert(real(1).ip(), Ok(reading("it is being repaired")));
    world.run(5 * SECOND);
    assert_eq!(world.real("www", "web1").why, "it says itself that it is down: it is being repaired");
}

#[test]
fn a_weight_by_hand_is_stronger_than_the_load() {
    let mut world = loaded();
    says(&mut world, 1, 20.0, None);
    world.run(10 * SECOND);
    let order = crate::core::Order::Weight { real: "web1".into(), service: None, weight: Some(7) };
    world.order(order).unwrap();
    world.run(10 * SECOND);
    assert_eq!(world.real("www", "web1").kernel_weight, 7);
}
