//! Who is logged in, by utmp(5): text consoles, ssh, and what a display manager registers (XDMCP sessions, sessreg(1)).

/// Where the records are.
pub const PATH: &str = "/run/utmp";
/// One record of Linux on 64-bit machines and, since it was made so, on 32-bit ones.
const RECORD: usize = 384;
/// `ut_type` of a session of a user.
const USER_PROCESS: i16 = 7;
/// Where `ut_pid` and `ut_user` are.
const PID: usize = 4;
const USER: usize = 44;

/// How many sessions of users the records tell of. Part of a record at the end, just being written, is passed over.
pub fn sessions(records: &[u8]) -> u32 {
    let is_session = |record: &&[u8]| {
        let kind = record.first_chunk::<2>().map(|two| i16::from_ne_bytes(*two));
        let user = record.get(USER).copied().unwrap_or(0);
        kind == Some(USER_PROCESS) && user != 0 && pid(record) != 0
    };
    let count = records.chunks_exact(RECORD).filter(is_session).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn pid(record: &[u8]) -> i32 {
    record.get(PID..PID + 4).and_then(|four| four.try_into().ok()).map_or(0, i32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: i16, pid: i32, user: &str) -> Vec<u8> {
        let mut record = vec![0; RECORD];
        record[..2].copy_from_slice(&kind.to_ne_bytes());
        record[PID..PID + 4].copy_from_slice(&pid.to_ne_bytes());
        record[USER..USER + user.len()].copy_from_slice(user.as_bytes());
        record
    }

    #[test]
    fn only_sessions_of_users_count() {
        let records = [
            record(2, 0, "reboot"),
            record(6, 10, "LOGIN"),
            record(USER_PROCESS, 11, "ada"),
            record(USER_PROCESS, 12, "grace"),
            record(8, 13, ""),
            record(USER_PROCESS, 0, "nobody"),
        ]
        .concat();
        assert_eq!(sessions(&records), 2);
        assert_eq!(sessions(&records[..RECORD * 3 + 100]), 1);
        assert_eq!(sessions(b"short"), 0);
    }
}
