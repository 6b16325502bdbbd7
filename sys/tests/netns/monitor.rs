//! News from the kernel.

use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use sys::netlink::{Change, Monitor, Netlink};

use crate::addresses::{set, thousand};
use crate::space::{Space, single};

/// Runs `work` inside the namespace on a runtime of its own, for 30 s at most.
fn run<F: Future<Output = ()>>(space: &Space, work: impl FnOnce() -> F + Send) {
    space.enter(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        let bounded = async { tokio::time::timeout(Duration::from_secs(30), work()).await.expect("in time") };
        runtime.block_on(bounded);
    });
}

/// Waits for the news that `wanted` recognises, passing over other news.
async fn until(monitor: &mut Monitor, wanted: impl Fn(&Change) -> bool) -> Change {
    loop {
        let change = monitor.next().await.expect("next");
        if wanted(&change) {
            return change;
        }
    }
}

#[test]
fn who_renews_leases_is_not_told_of_it_but_of_all_else() {
    let Some(space) = single() else { return };
    let index = space.index("v0");
    run(&space, async || {
        let mut monitor = Monitor::open_passing_over(0x68).expect("open");
        let mut netlink = Netlink::open().expect("open");
        let ours = [set(index, "10.77.1.1", 24, Some(300)), set(index, "fd77::1", 64, Some(300))];
        for _ in 0..3 {
            netlink.set_addresses(&ours).expect("set");
        }
        space.ip("addr add 10.77.1.9/24 dev v0");
        netlink.remove_addresses(&ours.map(|set| set.key())).expect("remove");
        let (mut added, mut removed) = (Vec::new(), 0);
        while removed < 2 {
            match monitor.next().await.expect("next") {
                Change::AddressAdded(new) => added.push((new.ip.to_string(), new.mark)),
                Change::AddressRemoved(_) => removed += 1,
                _ => {}
            }
        }
        assert!(added.contains(&("10.77.1.9".to_owned(), 0)), "{added:?}");
        assert!(added.iter().all(|(_, mark)| *mark != 0x68), "{added:?}");
        space.ip("link set v0 down");
        until(
            &mut monitor,
            |news| matches!(news, Change::Link { link, .. } if link.index == index && !link.up),
        )
        .await;
    });
}

#[test]
fn addresses_and_links_are_told_as_they_change() {
    let Some(space) = single() else { return };
    let index = space.index("v0");
    run(&space, async || {
        let mut monitor = Monitor::open().expect("open");
        let mut netlink = Netlink::open().expect("open");
        for ip in ["10.77.1.1", "fd77::1"] {
            let is = |found: IpAddr| found.to_string() == ip;
            let wanted = set(index, ip, 24, None);
            netlink.set_addresses(std::slice::from_ref(&wanted)).expect("set");
            let news =
                until(&mut monitor, |news| matches!(news, Change::AddressAdded(new) if is(new.ip))).await;
            let Change::AddressAdded(added) = news else { unreachable!() };
            assert_eq!((added.ifindex, added.prefix, added.mark, added.valid), (index, 24, 0x68, None));
            netlink.remove_addresses(&[wanted.key()]).expect("remove");
            until(&mut monitor, |news| matches!(news, Change::AddressRemoved(old) if is(old.ip))).await;
        }
        // A lease that ends is told as a removal.
        netlink.set_addresses(&[set(index, "10.77.1.2", 24, Some(1))]).expect("set");
        until(
            &mut monitor,
            |news| matches!(news, Change::AddressRemoved(old) if old.ip.to_string() == "10.77.1.2"),
        )
        .await;

        let ours = |news: &Change| matches!(news, Change::Link { link, .. } if link.index == index);
        space.ip("link set v0 down");
        until(&mut monitor, |news| {
            ours(news) && matches!(news, Change::Link { link, gone: false } if !link.up)
        })
        .await;
        space.ip("link set v0 up");
        until(&mut monitor, |news| ours(news) && matches!(news, Change::Link { link, .. } if link.running))
            .await;
        space.ip("link set v1 down");
        until(&mut monitor, |news| {
            ours(news) && matches!(news, Change::Link { link, .. } if link.up && !link.running)
        })
        .await;
        space.ip("link del v0");
        until(&mut monitor, |news| ours(news) && matches!(news, Change::Link { gone: true, .. })).await;
    });
}

#[test]
fn lost_news_is_said_to_be_lost_and_later_news_arrives() {
    let Some(space) = single() else { return };
    let index = space.index("v0");
    run(&space, async || {
        let mut monitor = Monitor::open().expect("open");
        let mut netlink = Netlink::open().expect("open");
        // 20,000 pieces of news, far more than its buffer holds, before it looks once.
        for lifetime in 100..120 {
            netlink.set_addresses(&thousand(index, Some(lifetime))).expect("set");
        }
        until(&mut monitor, |news| *news == Change::Overrun).await;
        space.ip("link set v0 mtu 1300");
        until(&mut monitor, |news| matches!(news, Change::Link { link, .. } if link.mtu == 1300)).await;
    });
}

#[test]
fn outside_a_runtime_it_is_refused() {
    let error = Monitor::open().expect_err("there is no runtime");
    assert!(error.to_string().contains("tokio"), "{error}");
}
