//! Who may steer the daemon.

use std::time::Duration;

use nix::unistd::{Gid, Uid, User, getgrouplist};
use tokio::time::timeout;

/// How long the user database may take; it can be a directory server far away.
const LOOKUP_BOUND: Duration = Duration::from_secs(3);

/// Who may steer: root, the daemon's own user, the members of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Users who always may.
    pub users: Vec<u32>,
    /// The group whose members may, if there is one on this machine.
    pub group: Option<(u32, String)>,
}

impl Policy {
    /// For root, the user this process runs as, and the members of `group` (if it exists).
    /// Asks the group database: not for the loop.
    pub fn new(group: Option<&str>) -> Policy {
        Policy {
            users: vec![0, Uid::effective().as_raw()],
            group: group.and_then(|name| Some((crate::accounts::group(name)?, name.to_owned()))),
        }
    }

    /// The caller's name, for the events.
    ///
    /// # Errors
    /// Why the caller may not steer, in a sentence.
    pub async fn check(&self, uid: u32, gid: u32) -> Result<String, String> {
        // No database is asked for root: it must be able to steer whatever is broken.
        if uid == 0 && self.users.contains(&0) {
            return Ok("root".into());
        }
        let lookup = tokio::task::spawn_blocking(move || {
            let name = User::from_uid(Uid::from_raw(uid)).ok().flatten()?.name;
            let as_c = std::ffi::CString::new(name.clone()).ok()?;
            let groups = getgrouplist(&as_c, Gid::from_raw(gid)).unwrap_or_default();
            Some((name, groups))
        });
        let known = timeout(LOOKUP_BOUND, lookup).await.ok().and_then(Result::ok).flatten();
        let (name, groups) = known.unwrap_or_else(|| (format!("uid {uid}"), Vec::new()));
        let member = self
            .group
            .as_ref()
            .is_some_and(|&(allowed, _)| gid == allowed || groups.contains(&Gid::from_raw(allowed)));
        if self.users.contains(&uid) || member {
            return Ok(name);
        }
        Err(match &self.group {
            Some((_, group)) => {
                format!("{name} may not steer this daemon: only root and the members of group {group} may")
            }
            None => format!("{name} may not steer this daemon: only root may"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policy: &Policy, uid: u32, gid: u32) -> Result<String, String> {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(policy.check(uid, gid))
    }

    #[test]
    fn root_the_own_user_and_the_group_may_steer_and_nobody_else() {
        let policy = Policy { users: vec![0, 4_000_001], group: Some((4_000_002, "hbd".into())) };
        assert_eq!(check(&policy, 0, 0).unwrap(), "root");
        assert_eq!(check(&policy, 4_000_001, 1).unwrap(), "uid 4000001");
        assert_eq!(check(&policy, 4_000_003, 4_000_002).unwrap(), "uid 4000003");
        let refused = check(&policy, 4_000_003, 4_000_003).unwrap_err();
        assert!(refused.contains("members of group hbd"), "{refused}");
        let alone = Policy { users: vec![0], group: None };
        assert!(check(&alone, 4_000_003, 4_000_002).unwrap_err().contains("only root may"));
    }

    #[test]
    fn a_group_that_does_not_exist_lets_nobody_in() {
        assert_eq!(Policy::new(Some("da-no-such-group")).group, None);
        assert_eq!(Policy::new(Some("root")).group, Some((0, "root".into())));
    }
}
