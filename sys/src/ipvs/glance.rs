//! A glance at the table, by its text (`/proc/net/ip_vs`): whether it is another than before. Where the family's answer has
//! forty attributes for each real server, most of them counters, the text has a line.
//!
//! It shows services with scheduler, persistence and netmask, and real servers with forwarding method and weight;
//! not thresholds, what tunnels are made of, schedulers' flags and persistence engines: those take a look at all of it.

use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, BufRead, BufReader};

/// Of the network namespace of the thread, as netlink sockets are.
const TEXT: &str = "/proc/thread-self/net/ip_vs";
/// Several of the kernel's pages at a time.
const BUFFER: usize = 16 << 10;
/// How the line of a real server begins.
const REAL: &[u8] = b"  -> ";

/// A number for what the table shows, connections aside: another one for (all but certainly) every other table. Real servers in
/// another order are another table.
///
/// # Errors
/// There is no such text (no IPVS, no /proc), or it cannot be read.
pub fn digest() -> io::Result<u64> {
    of(BufReader::with_capacity(BUFFER, File::open(TEXT)?))
}

fn of(mut text: impl BufRead) -> io::Result<u64> {
    let mut digest = DefaultHasher::new();
    let mut line = Vec::with_capacity(128);
    while text.read_until(b'\n', &mut line)? > 0 {
        digest.write(if line.starts_with(REAL) { without_connections(&line) } else { &line });
        line.clear();
    }
    Ok(digest.finish())
}

/// A real server's line without its last two columns, the active and the inactive connections.
fn without_connections(line: &[u8]) -> &[u8] {
    let without_last = |line: &[u8]| {
        let end = line.trim_ascii_end().iter().rposition(u8::is_ascii_whitespace);
        end.unwrap_or(0)
    };
    let line = &line[..without_last(line)];
    &line[..without_last(line)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "IP Virtual Server version 1.2.1 (size=4096)\n\
                        Prot LocalAddress:Port Scheduler Flags\n  \
                        -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n";

    fn digest(table: &str) -> u64 {
        of(format!("{HEAD}{table}").as_bytes()).expect("read")
    }

    #[test]
    fn connections_are_no_change_and_all_else_is() {
        let table = "TCP  0A090001:0050 wlc persistent 300 FFFFFFFF\n  \
                     -> 0A090101:0050      Route   10     0          0         \n  \
                     -> 0A090102:0050      Masq    10     0          0         \n\
                     FWM  00000007 IPv6 sh\n  \
                     -> [fd09:0000:0000:0000:0000:0000:0000:0001]:0050      Route   1      7          9\n";
        let before = digest(table);
        assert_eq!(before, digest(table));
        let busy = table
            .replace("10     0          0", "10     123456     98765432")
            .replace("7          9", "8  1");
        assert_eq!(before, digest(&busy));
        for (from, to) in [
            ("Masq    10", "Masq    11"),
            ("Masq    10", "Route   10"),
            ("0A090102", "0A090103"),
            ("wlc", "rr"),
            ("300", "301"),
            ("IPv6 sh", "sh"),
            ("  -> 0A090101:0050      Route   10     0          0         \n", ""),
        ] {
            assert!(table.contains(from));
            assert_ne!(before, digest(&table.replacen(from, to, 1)), "{from} is {to}");
        }
        assert_ne!(before, digest(""));
    }

    #[test]
    fn lines_of_any_kind_are_read_without_harm() {
        for line in
            [&b""[..], b"\n", b"  -> ", b"  ->  \n", b"  -> a", b"  -> a b", b"  -> a b c", b"\xff\n  -> \0"]
        {
            let whole = without_connections(line);
            assert!(line.starts_with(whole));
            assert!(of(line).is_ok());
        }
        assert_eq!(without_connections(b"  -> a b c 1 2\n"), b"  -> a b c");
    }
}
