//! Names of users and groups, asked for once each.

use std::collections::HashMap;

use nix::unistd::{Gid, Group, Uid, User};

/// What `pwd` and `grp` say in Python's `TarFile.gettarinfo`; without an entry a name is empty.
#[derive(Debug, Default)]
pub(super) struct Owners {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
}

impl Owners {
    /// Names of a user and a group.
    pub(super) fn both(&mut self, uid: u32, gid: u32) -> (&str, &str) {
        let user = self.users.entry(uid).or_insert_with(|| {
            let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
            user.map(|user| user.name).unwrap_or_default()
        });
        let group = self.groups.entry(gid).or_insert_with(|| {
            let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
            group.map(|group| group.name).unwrap_or_default()
        });
        (user, group)
    }
}
