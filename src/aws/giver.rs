//! Who is to give the credentials, for errors: the SDK's own do not say who refused.

use super::settings::{Surroundings, setting};

const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
/// What to check of the way to STS.
const WAY_TO_STS: &str = "the way to STS (AWS_REGION, AWS_ENDPOINT_URL_STS)";

/// Who is asked for credentials before anything else is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Giver {
    /// The address that this variable names.
    Container(&'static str),
    /// STS, for the token in a file.
    Token,
    /// STS, for the role of this profile.
    Role(String),
    /// Somebody else, or nobody.
    Other,
}

impl Giver {
    /// By what is set, in the SDK's order.
    pub(super) fn of(sources: &Surroundings<'_>) -> Self {
        let set = |name: &str| sources.set(name).ok().flatten();
        let is_set = |name: &str| set(name).is_some_and(|value| !value.trim().is_empty());
        if is_set("AWS_ACCESS_KEY_ID") {
            return Self::Other;
        }
        let profile = set("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
        let section = ["profile ", &profile].concat();
        let files = sources.files().ok();
        let has = |key: &str| {
            files
                .as_ref()
                .is_some_and(|files| setting(files, &section, key).is_some())
        };
        match () {
            () if has("role_arn") => Self::Role(profile),
            () if [
                "aws_access_key_id",
                "credential_process",
                "sso_session",
                "sso_start_url",
            ]
            .into_iter()
            .any(has) =>
            {
                Self::Other
            }
            () if is_set(TOKEN_FILE) => Self::Token,
            () if is_set(RELATIVE) => Self::Container(RELATIVE),
            () if is_set(FULL) => Self::Container(FULL),
            () => Self::Other,
        }
    }

    /// That it gave none, because of that, and what to check; nothing where it is not known who it was.
    pub(super) fn says(&self, why: &str) -> Option<String> {
        let (who, check) = match self {
            Self::Container(variable) => (
                format!("the address that {variable} names gave no credentials"),
                "that variable, and that this container has a role".to_owned(),
            ),
            Self::Token => (
                format!("STS gave no credentials for the token that {TOKEN_FILE} names"),
                format!("AWS_ROLE_ARN, that the role trusts who issued the token, and {WAY_TO_STS}"),
            ),
            Self::Role(profile) => (
                format!("STS gave no credentials for the role of the profile {profile}"),
                format!("its role_arn, that the role may be assumed, and {WAY_TO_STS}"),
            ),
            Self::Other => return None,
        };
        Some(format!("{who}: {why}. Check {check}"))
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::io;
    use std::path::Path;

    use super::*;

    fn of(variables: &[(&str, &str)], config: &str) -> Giver {
        Giver::of(&Surroundings {
            variable: &|name| {
                let set = variables.iter().find(|(known, _)| *known == name);
                set.map(|(_, value)| OsString::from(value))
            },
            file: &|path: &Path| match path.ends_with("config") {
                true => Ok(config.as_bytes().to_vec()),
                false => Err(io::ErrorKind::NotFound.into()),
            },
        })
    }

    #[test]
    fn who_gives_credentials_is_found_in_the_order_of_the_sdk() {
        let (token, full, relative) = ((TOKEN_FILE, "/t"), (FULL, "http://127.0.0.1/"), (RELATIVE, "/x"));
        let role = "[default]\nrole_arn = arn:a\n[profile k]\naws_access_key_id = a\n";
        for (variables, config, giver) in [
            (&[][..], "", Giver::Other),
            (&[("AWS_ACCESS_KEY_ID", "a"), token, full], role, Giver::Other),
            (&[token, full], role, Giver::Role("default".to_owned())),
            (&[("AWS_PROFILE", "k"), token], role, Giver::Other),
            (&[token, full], "", Giver::Token),
            (&[relative, full], "", Giver::Container(RELATIVE)),
            (&[full], "", Giver::Container(FULL)),
        ] {
            assert_eq!(of(variables, config), giver, "{variables:?} {config}");
        }
    }
}
