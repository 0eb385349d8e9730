//! The shared configuration files of AWS, `~/.aws/config` and `~/.aws/credentials`, and the profile
//! that is in force: as botocore chooses it (botocore/configprovider.py), which is not as the SDK
//! does. AWS_DEFAULT_PROFILE comes before AWS_PROFILE, a named profile must exist, AWS_REGION does
//! not come before the profile's region.

use std::{borrow::Cow, collections::BTreeSet, env};

use aws_config::profile::{self, Profile, ProfileSet};
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_types::os_shim_internal::{Env, Fs};

use crate::ConfigError;

/// Variables that name the profile, the strongest first.
const NAMES: [&str; 2] = ["AWS_DEFAULT_PROFILE", "AWS_PROFILE"];

/// What only the flow host can do: botocore asks for the code of an MFA device on the terminal and
/// knows logins by `aws login`; the SDK ignores how long a role shall last.
const FOR_THE_HOST: [&str; 3] = ["mfa_serial", "login_session", "duration_seconds"];

/// The files, as read once.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    name: Option<String>,
    profiles: ProfileSet,
}

/// A value and what it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The value.
    pub value: String,
    /// A variable's name, or words like "profile `x`".
    pub origin: String,
}

impl Shared {
    /// Reads the files. It is an error when they make no sense, or lack the profile that a
    /// variable names.
    pub(crate) async fn load() -> Result<Self, ConfigError> {
        let name = named();
        let files = EnvConfigFiles::default();
        let selected = name.clone().map(|found| Cow::Owned(found.value));
        let profiles = profile::load(&Fs::real(), &Env::real(), &files, selected)
            .await
            .map_err(|error| ConfigError::ProfileFiles(error.to_string()))?;
        match name {
            Some(Found { value, origin }) if profiles.get_profile(&value).is_none() => {
                let known: Vec<_> = profiles.profiles().collect();
                Err(ConfigError::NoProfile {
                    name: value,
                    origin,
                    known: if known.is_empty() {
                        "none".to_owned()
                    } else {
                        known.join(", ")
                    },
                })
            }
            name => Ok(Self {
                name: name.map(|found| found.value),
                profiles,
            }),
        }
    }

    /// The profile that a variable names.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// For people: the name of the profile in force.
    pub(crate) fn title(&self) -> &str {
        self.name().unwrap_or("default")
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.selected()?.get(key).filter(|value| !value.is_empty())
    }

    /// Whether the profile is a role that another source's credentials assume.
    pub(crate) fn is_role(&self) -> bool {
        self.get("role_arn").is_some() && self.get("web_identity_token_file").is_none()
    }

    /// How the profile has its credentials, in words.
    pub(crate) fn kind(&self) -> &'static str {
        let kinds = [
            ("role_arn", "a role"),
            ("sso_session", "SSO"),
            ("sso_start_url", "SSO"),
            ("login_session", "aws login"),
            ("credential_process", "credential_process"),
            ("aws_access_key_id", "keys"),
        ];
        let kind = kinds.iter().find(|(key, _)| self.get(key).is_some());
        kind.map_or("no credentials", |(_, words)| words)
    }

    /// The key because of which the flow host has to find the credentials, in the profile or those
    /// that it is based on.
    pub(crate) fn needs_host(&self) -> Option<&'static str> {
        let mut seen = BTreeSet::new();
        let mut next = self.selected();
        while let Some(profile) = next {
            if !seen.insert(profile.name()) {
                return None;
            }
            let mut keys = FOR_THE_HOST.into_iter();
            let of_role = |key: &&str| *key == "login_session" || profile.get("role_arn").is_some();
            let key = keys.find(|key| profile.get(key).is_some() && of_role(key));
            if key.is_some() {
                return key;
            }
            let source = profile.get("source_profile");
            next = source.and_then(|source| self.profiles.get_profile(source));
        }
        None
    }

    fn selected(&self) -> Option<&Profile> {
        self.profiles.get_profile(self.title())
    }

    /// The region, where one is configured.
    pub(crate) fn region(&self) -> Option<Found> {
        let of_profile = || {
            Some(Found {
                value: self.get("region")?.to_owned(),
                origin: format!("profile `{}`", self.title()),
            })
        };
        variable("AWS_DEFAULT_REGION")
            .or_else(of_profile)
            .or_else(|| variable("AWS_REGION"))
    }

    /// The file of certificates that are trusted instead of the system's.
    pub(crate) fn ca_bundle(&self) -> Option<Found> {
        let of_profile = || {
            Some(Found {
                value: self.get("ca_bundle")?.to_owned(),
                origin: format!("profile `{}`", self.title()),
            })
        };
        variable("AWS_CA_BUNDLE")
            .or_else(of_profile)
            .or_else(|| variable("REQUESTS_CA_BUNDLE"))
    }
}

fn named() -> Option<Found> {
    NAMES.into_iter().find_map(variable)
}

/// A variable that is set to something.
fn variable(name: &str) -> Option<Found> {
    let value = env::var(name).ok().filter(|value| !value.is_empty())?;
    Some(Found {
        value,
        origin: name.to_owned(),
    })
}
