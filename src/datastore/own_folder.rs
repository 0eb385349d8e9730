//! Folders of the user's own, in places where others may write too.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::Path,
};

use nix::unistd::Uid;

/// Makes a folder, and what is missing above it, for this user alone. One that was there is [checked](check).
pub fn create(folder: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    check(folder)
}

/// An error unless the folder and the one around it are this user's, and no one else may write there. Below /tmp anybody
/// may have been first, and may have put a link there; a link of the user's own is followed.
pub fn check(folder: &Path) -> io::Result<()> {
    let parent = folder.parent().map(is_own).transpose()?;
    if parent.unwrap_or(true) && is_own(folder)? {
        Ok(())
    } else {
        Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "it does not belong to this user alone",
        ))
    }
}

fn is_own(folder: &Path) -> io::Result<bool> {
    let ours = Uid::effective().as_raw();
    let metadata = fs::metadata(folder)?;
    Ok(fs::symlink_metadata(folder)?.uid() == ours
        && metadata.uid() == ours
        && metadata.mode() & 0o022 == 0)
}

#[cfg(test)]
mod tests {
    use std::{
        fs::Permissions,
        os::unix::fs::{PermissionsExt, symlink},
    };

    use super::*;

    #[test]
    fn what_is_made_is_for_this_user_alone() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("base/folder");
        create(&folder).unwrap();
        for made in [&folder, &place.path().join("base")] {
            assert_eq!(fs::metadata(made).unwrap().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let (base, folder) = (place.path().join("base"), place.path().join("base/folder"));
        create(&folder).unwrap();
        for open in [&base, &folder] {
            for mode in [0o720, 0o702] {
                fs::set_permissions(open, Permissions::from_mode(mode)).unwrap();
                let error = create(&folder).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
            }
            fs::set_permissions(open, Permissions::from_mode(0o755)).unwrap();
        }
        create(&folder).unwrap();
    }

    #[test]
    fn a_link_to_what_is_not_ours_is_refused() {
        let place = tempfile::tempdir().unwrap();
        create(&place.path().join("own")).unwrap();
        symlink("own", place.path().join("to-own")).unwrap();
        check(&place.path().join("to-own")).unwrap();
        symlink(std::env::temp_dir(), place.path().join("to-all")).unwrap();
        assert!(check(&place.path().join("to-all")).is_err());
    }
}
