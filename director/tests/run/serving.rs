//! Real servers die and return, orders are given, the director is restarted.

use std::os::unix::fs::MetadataExt;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::ground::*;

#[test]
fn a_real_server_that_dies_leaves_and_returns_and_the_fallback_serves_when_all_are_gone() {
    let (one, two) = (Server::new(), Server::new());
    let mut ground = Ground::new(&www(&[("web1", one.address), ("web2", two.address)]));
    ground.start();
    ground.wait_state("web1", "up");
    ground.wait_state("web2", "up");
    wait_for("the kernel", || ground.real("web1", "kernel_weight") == 5);
    let one = one.stop();
    ground.wait_state("web1", "down");
    wait_for("the kernel", || ground.real("web1", "kernel_weight") == 0);
    assert_eq!(ground.real("web1", "weight"), 5);
    let error = ground.real("web1", "last_error");
    assert!(error.as_str().is_some_and(|error| error.contains("refused")), "{error}");
    assert_eq!(ground.status()["virtuals"][0]["up"], true);
    two.stop();
    wait_for("the fallback", || ground.status()["virtuals"][0]["fallback_active"] == true);
    assert_eq!(ground.status()["virtuals"][0]["up"], false);
    let _one = Server::at(one);
    ground.wait_state("web1", "up");
    wait_for("its end", || ground.status()["virtuals"][0]["fallback_active"] == false);
    let log = ground.log();
    assert!(log.contains("real www/web1: up -> down"), "{log}");
}

#[test]
fn the_status_has_the_fields_that_were_promised() {
    let server = Server::new();
    let mut ground = Ground::new(&www(&[("web1", server.address)]));
    ground.start();
    ground.wait_state("web1", "up");
    wait_for("the kernel", || ground.real("web1", "kernel_weight") == 5);
    let status = ground.status();
    assert_eq!(status["role"], "active");
    assert_eq!(status["drift_repaired"], 0);
    assert_eq!(status["degraded"], json!([]));
    let service = &status["virtuals"][0];
    let wanted = json!({"name": "www", "address": "192.168.1.30:80", "protocol": "tcp", "scheduler": "wrr",
                        "up": true, "fallback_active": false});
    for (key, value) in wanted.as_object().unwrap() {
        assert_eq!(&service[key], value, "{key}");
    }
    let real = &service["reals"][0];
    let wanted = json!({"name": "web1", "address": server.address.to_string(), "forward": "masq", "state": "up",
                        "weight": 5, "kernel_weight": 5, "active_conns": 0, "inactive_conns": 0,
                        "last_error": null});
    for (key, value) in wanted.as_object().unwrap() {
        assert_eq!(&real[key], value, "{key}");
    }
    assert!(real["last_check_ms"].is_u64());
}

#[test]
fn orders_survive_a_restart() {
    let (one, two) = (Server::new(), Server::new());
    let mut ground = Ground::new(&www(&[("web1", one.address), ("web2", two.address)]));
    ground.start();
    ground.wait_state("web1", "up");
    assert!(ground.done(&["drain", "web1", "--deadline", "60s", "--wait"]).contains("removed"));
    assert_eq!(ground.real("web1", "state"), "drain");
    assert_eq!(ground.real("web1", "in_kernel"), false);
    ground.done(&["weight", &two.address.to_string(), "3"]);
    ground.signal(Signal::SIGKILL);
    assert_eq!(ground.end(), None);
    ground.start();
    ground.wait_state("web2", "up");
    assert_eq!(ground.real("web1", "state"), "drain");
    wait_for("the weight by hand", || ground.real("web2", "kernel_weight") == 3);
    ground.done(&["enable", "web1"]);
    ground.done(&["weight", "web2", "auto", "--virtual", "www"]);
    ground.wait_state("web1", "up");
    wait_for("the configured weight", || ground.real("web2", "kernel_weight") == 5);
    ground.done(&["maintain", "web1"]);
    assert_eq!(ground.real("web1", "state"), "maintenance");
}

#[test]
fn a_reload_takes_over_what_is_good_and_refuses_what_is_bad() {
    let (one, two) = (Server::new(), Server::new());
    let mut ground = Ground::new(&www(&[("web1", one.address)]));
    ground.start();
    ground.wait_state("web1", "up");
    ground.write(&www(&[("web1", one.address), ("web2", two.address)]));
    let plan = ground.done(&["plan"]);
    assert!(plan.starts_with(&format!("+ tcp 192.168.1.30:80 -> {}", two.address)), "{plan}");
    assert!(ground.done(&["reload"]).contains("reloaded"));
    ground.wait_state("web2", "up");
    wait_for("the same table", || ground.done(&["plan"]) == "nothing would change\n");
    ground.write("[[virtual]]\nname = \"www\"\n");
    let refused = ground.tool(&["reload"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("has no 'address'"));
    ground.signal(Signal::SIGHUP);
    wait_for("the refusal", || ground.status()["degraded"].to_string().contains("not in use"));
    ground.wait_state("web2", "up");
    ground.write(&www(&[("web2", two.address)]));
    ground.signal(Signal::SIGHUP);
    wait_for("the reload", || {
        ground.status()["virtuals"][0]["reals"].as_array().is_some_and(|r| r.len() == 1)
    });
    assert_eq!(ground.status()["degraded"], json!([]));
}

#[test]
fn the_group_that_may_steer_changes_with_a_reload() {
    let server = Server::new();
    let config = www(&[("web1", server.address)]);
    let with = |group| config.replace("[director]\n", &format!("[director]\ngroup = \"{group}\"\n"));
    let mut ground = Ground::new(&with("da-no-such-group"));
    ground.start();
    let mode =
        || std::fs::metadata(ground.run_dir().join("director.sock")).expect("the socket").mode() & 0o777;
    assert_eq!(mode(), 0o600);
    // A group that is everywhere, and that whoever runs the test may give a file to.
    let own =
        nix::unistd::Group::from_gid(nix::unistd::Gid::effective()).expect("groups").expect("a group").name;
    ground.write(&with(&own));
    ground.done(&["reload"]);
    wait_for("the door to be open to the group", || mode() == 0o660);
    ground.write(&with("da-no-such-group"));
    ground.signal(Signal::SIGHUP);
    wait_for("the door to be closed", || mode() == 0o600);
}

#[test]
fn term_ends_it_in_order_and_a_second_one_is_refused_meanwhile() {
    let server = Server::new();
    let mut ground = Ground::new(&www(&[("web1", server.address)]));
    ground.start();
    let second = ground.tool(&["run", "--backend", "dry-run"]);
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("another director (pid"), "{said}");
    ground.signal(Signal::SIGTERM);
    assert_eq!(ground.end(), Some(0));
    let nobody = ground.tool(&["status"]);
    assert_eq!(nobody.status.code(), Some(3));
}

#[test]
fn the_maintenance_folder_takes_a_server_out() {
    let (one, two) = (Server::new(), Server::new());
    let mut ground = Ground::new("");
    let folder = ground.folder.path().join("maintenance");
    std::fs::create_dir(&folder).unwrap();
    let config = www(&[("web1", one.address), ("web2", two.address)]);
    ground.write(&config.replace("[director]\n", &format!("[director]\nmaintenance_dir = {folder:?}\n")));
    ground.start();
    ground.wait_state("web1", "up");
    std::fs::write(folder.join(one.address.to_string()), "").unwrap();
    ground.wait_state("web1", "maintenance");
    std::fs::remove_file(folder.join(one.address.to_string())).unwrap();
    ground.wait_state("web1", "up");
}

#[test]
fn alerts_are_run_with_what_they_need_to_know() {
    let one = Server::new();
    let mut ground = Ground::new("");
    let (tell, told) = (ground.folder.path().join("tell"), ground.folder.path().join("told"));
    std::fs::write(&tell, format!("#!/bin/sh\necho \"$1|$2|$3|$4\" >>{}\n", told.display())).unwrap();
    std::fs::set_permissions(&tell, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let config = www(&[("web1", one.address)]);
    ground.write(&config.replace("[director]\n", &format!("[director]\nalerts = [{{ exec = {tell:?} }}]\n")));
    ground.start();
    ground.wait_state("web1", "up");
    let address = one.stop();
    let lines = || std::fs::read_to_string(&told).unwrap_or_default();
    wait_for("the alert", || lines() == format!("down|www|web1|{address}\n"));
    let _one = Server::at(address);
    wait_for("its end", || lines() == format!("down|www|web1|{address}\nup|www|web1|{address}\n"));
}

#[test]
fn a_farm_of_thousands_is_shown_whole() {
    let mut config = String::new();
    for service in 0..8 {
        config += &format!(
            "[[virtual]]\nname = \"v{service}\"\naddress = \"10.1.0.{service}:80\"\ncheck = {{ type = \"off\" }}\n"
        );
        for real in 0..500 {
            config += &format!(
                "[[virtual.real]]\naddress = \"10.{}.{}.{}:80\"\n",
                service + 10,
                real / 250,
                real % 250 + 1
            );
        }
    }
    let mut ground = Ground::new(&config);
    ground.start();
    let status = ground.done(&["status", "--json"]);
    assert!(status.len() > 1 << 20, "{} bytes", status.len());
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let count = |service: &serde_json::Value| service["reals"].as_array().map_or(0, Vec::len);
    assert_eq!(status["virtuals"].as_array().expect("services").iter().map(count).sum::<usize>(), 4000);
}

#[test]
fn an_order_is_written_down_as_soon_as_the_disk_takes_it() {
    let server = Server::new();
    let mut ground = Ground::new(&www(&[("web1", server.address)]));
    ground.start();
    ground.wait_state("web1", "up");
    let file = ground.run_dir().join("director.state");
    std::fs::remove_file(&file).expect("the memory");
    std::fs::create_dir(&file).expect("something in its place");
    ground.done(&["maintain", "web1"]);
    let complains = || ground.status()["degraded"].to_string().contains("cannot write");
    wait_for("the complaint", complains);
    std::fs::remove_dir(&file).expect("room again");
    wait_for("the memory", || std::fs::read_to_string(&file).is_ok_and(|text| text.contains("web1")));
    wait_for("no complaint", || !complains());
}

#[test]
fn without_a_maintenance_folder_nobody_is_out_for_its_files() {
    let server = Server::new();
    let config = www(&[("web1", server.address)]);
    let mut ground = Ground::new(&config);
    let folder = ground.folder.path().join("out");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("web1"), "").expect("a file");
    let with = format!("[director]\nmaintenance_dir = \"{}\"\n", folder.display());
    ground.write(&config.replace("[director]\n", &with));
    ground.start();
    ground.wait_state("web1", "maintenance");
    ground.write(&config);
    ground.done(&["reload"]);
    ground.wait_state("web1", "up");
}
