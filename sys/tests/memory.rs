//! Locking the memory of a whole process, hence in a process of its own: this file has one test.

use std::io::ErrorKind;

/// A line of /proc/self/status in KiB.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect(name)
}

#[test]
fn memory_is_locked_without_being_filled_in() {
    sys::rt::frugal_allocator();
    let before = status("VmRSS");
    if let Err(refused) = sys::rt::lock_memory() {
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
        assert!(refused.to_string().contains("LimitMEMLOCK"), "{refused}");
        eprintln!("\n*** SKIPPED: memory may not be locked here: {refused} ***\n");
        return;
    }
    assert!(status("VmLck") > 0);
    // Threads with stacks of 2 MiB each: reserved and locked, but not filled in.
    let (quit, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
    let threads: Vec<_> = (0..16)
        .map(|_| {
            let wait = std::sync::Arc::clone(&wait);
            std::thread::spawn(move || wait.lock().map(|wait| wait.recv()).is_ok())
        })
        .collect();
    let after = status("VmRSS");
    assert!(after < before + 8 * 1024, "{before} KiB became {after} KiB");
    drop(quit);
    assert!(threads.into_iter().all(|thread| thread.join().is_ok()));
}
