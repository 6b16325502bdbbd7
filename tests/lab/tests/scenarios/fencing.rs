//! A group that requires fencing: nothing starts before the power switch has confirmed.

use lab::Result;
use lab::pair::{Pair, VIP};
use lab::power::{self, Mood, with_switch};
use lab::scenario::{check, scenario, throughout};

use super::WHILE;

fn make(more: &str) -> Result<Pair> {
    let vip = lab::hbd::config::address(VIP, 16, "eth0");
    let pair = Pair::with(|settings| {
        let mut settings = settings.group("vip", Some("a"), &[&vip]);
        settings.groups[0].requires = Some("fencing".to_owned());
        settings.more += &power::tables(more);
        settings
    })?;
    power::install(&pair.world)?;
    pair.start_both()?;
    pair.owned_by("a")?;
    Ok(pair)
}

#[test]
fn after_a_split_the_silent_owner_is_switched_off_and_then_replaced() {
    scenario(
        || make(""),
        |pair| {
            with_switch(pair, |switch| {
                pair.cut_all_links()?;
                pair.wait("b", "b owns", |s| s.has("vip", "started", Some("b")))?;
                check(switch.used() == ["a"], || format!("fenced: {:?}", switch.used()))?;
                check(!pair.world.is_up("a"), || "a was to be off".to_owned())?;
                pair.world.heal()?;
                pair.owned_by("b")?;
                pair.boot("a")?;
                pair.joined("a", "b")?;
                pair.stays_with("b", WHILE)?;
                check(switch.used().len() == 1, || format!("fenced again: {:?}", switch.used()))?;
                let said = pair.order("b", &["why", "vip"])?.stdout;
                check(said.contains("requires = fencing"), || said.clone())
            })
        },
    );
}

#[test]
fn a_switch_that_fails_or_hangs_is_no_success_and_the_operators_word_is() {
    scenario(
        || make("timeout = \"1s\"\nretries = 0"),
        |pair| {
            with_switch(pair, |switch| {
                for (mood, word) in [(Mood::Fails, "exit code 1"), (Mood::Hangs, "no answer within 1s")] {
                    switch.set(mood);
                    if mood == Mood::Fails {
                        pair.world.power_off("a")?;
                    }
                    pair.wait("b", "fencing failed", |s| {
                        s.degraded.iter().any(|d| d.contains("fencing it failed") && d.contains(word))
                    })?;
                }
                throughout("nothing is taken", WHILE, || {
                    let status = pair.status("b");
                    let taken = status.as_ref().is_some_and(|s| s.has("vip", "started", Some("b")));
                    check(!taken, || "b took the group without a fence".to_owned())
                })?;
                pair.order("b", &["fence-ack", "a"])?;
                pair.owned_by("b").map(drop)
            })
        },
    );
}

#[test]
fn an_operator_fences_and_is_told_how_it_ended() {
    scenario(
        || make("timeout = \"2s\"\nretries = 0"),
        |pair| {
            with_switch(pair, |switch| {
                switch.set(Mood::Fails);
                let refused = pair.hbctl("a", &["fence", "b"])?;
                check(refused.code == 1 && refused.stderr.contains("could not be fenced"), || {
                    refused.stderr.clone()
                })?;
                check(pair.world.is_up("b"), || "b was to be up".to_owned())?;
                switch.set(Mood::Works);
                pair.order("a", &["fence", "b"])?;
                check(!pair.world.is_up("b"), || "b was to be off".to_owned())?;
                pair.wait("a", "b is dead", |s| s.sees("b", "dead"))?;
                pair.owned_by("a")?;
                let wrong = pair.hbctl("a", &["fence", "a"])?;
                check(wrong.code == 1 && wrong.stderr.contains("does not fence itself"), || {
                    wrong.stderr.clone()
                })?;
                let events = pair.order("a", &["events", "--json", "-n", "100"])?.stdout;
                check(events.contains("confirms that it is down"), || events.clone())
            })
        },
    );
}

#[test]
fn a_broken_device_is_known_before_it_is_needed() {
    scenario(
        || make("monitor = \"1s\""),
        |pair| {
            let broken = |s: &lab::hbd::status::Status| {
                s.degraded.iter().any(|d| {
                    d.contains("fence_lab of a does not answer") && d.contains("no route to the switch")
                })
            };
            power::set_broken(&pair.world, true)?;
            pair.wait("b", "the device is broken", broken)?;
            power::set_broken(&pair.world, false)?;
            pair.wait("b", "the device is mended", |s| s.degraded.is_empty()).map(drop)
        },
    );
}
