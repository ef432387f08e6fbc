//! What the environment, a container and profiles say of credentials.

use std::io;
use std::net::IpAddr;
use std::path::Path;

use super::{Profiles, Surroundings, at, is_there, missing, setting};

const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
const TOKEN_OF_PROFILE: &str = "web_identity_token_file";
const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const CONTAINER_TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
/// The agents of ECS and EKS, which the SDK asks without TLS.
const AGENTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];
/// What `credential_source` may be.
const SOURCES: [&str; 3] = ["Environment", "Ec2InstanceMetadata", "EcsContainer"];
/// The keys of a profile.
const KEYS: [&str; 3] = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"];

/// Settings by which profiles have credentials, that need more of the SDK than a function carries.
const OF_SSO: [&str; 4] = ["sso_session", "sso_start_url", "sso_account_id", "credential_process"];

impl Surroundings<'_> {
    /// Whether those that are meant are there: the SDK would look elsewhere for others.
    pub(super) fn credentials(&self, files: &[Profiles; 2], section: &str) -> Result<(), String> {
        let is_set = |name: &str| {
            self.set(name)
                .map(|value| value.is_some_and(|value| !value.trim().is_empty()))
        };
        match (
            is_set("AWS_ACCESS_KEY_ID")?,
            is_set("AWS_SECRET_ACCESS_KEY")? || is_set("SECRET_ACCESS_KEY")?,
        ) {
            (true, true) => return Ok(()),
            (false, false) => {}
            (true, false) => return Err(half("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")),
            (false, true) => return Err(half("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")),
        }
        let is_named = is_set("AWS_PROFILE")?;
        if let Some(token) = self.set(TOKEN_FILE)?.filter(|_| !is_named) {
            if !is_set("AWS_ROLE_ARN")? {
                return Err(half(TOKEN_FILE, "AWS_ROLE_ARN"));
            }
            let unread = |error: io::Error| format!("{TOKEN_FILE} names a file that cannot be read: {error}");
            (self.file)(Path::new(&token)).map_err(unread)?;
        }
        if is_named && !is_there(files, section) {
            return Err(missing(files, section, "AWS_PROFILE"));
        }
        if !is_named {
            self.container()?;
        }
        let mut passed = vec![section.to_owned()];
        // A profile may take those of another one, and that one of a third.
        while let Some(section) = passed.last() {
            let here = |key| setting(files, section, key);
            self.profile(files, section)?;
            let Some((file, line)) = here("source_profile") else {
                return Ok(());
            };
            let next = ["profile ", &line.value].concat();
            if !is_there(files, &next) {
                return Err(missing(files, &next, at(file, line, "source_profile", "").trim_end()));
            }
            if next == *section {
                return Ok(());
            }
            if passed.contains(&next) {
                let says = "leads back to a profile that leads here: one of them needs credentials of its own";
                return Err(at(file, line, "source_profile", says));
            }
            passed.push(next);
        }
        Ok(())
    }

    /// What one profile says of credentials.
    fn profile(&self, files: &[Profiles; 2], section: &str) -> Result<(), String> {
        let here = |key| setting(files, section, key);
        let lacking = OF_SSO.iter().filter(|_| !cfg!(feature = "sso"));
        for key in lacking.chain([&"login_session"]) {
            if let Some((file, line)) = here(key) {
                let says = match *key {
                    "login_session" => "is not known here: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                    _ => {
                        "needs a command line built with `--features sso`; or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                    }
                };
                return Err(at(file, line, key, says));
            }
        }
        if let Some((file, role)) = here("role_arn") {
            let sources = ["source_profile", "credential_source", TOKEN_OF_PROFILE];
            if sources.iter().all(|key| here(key).is_none()) {
                let says = "has neither source_profile nor credential_source beside it";
                return Err(at(file, role, "role_arn", says));
            }
            if !role.value.starts_with("arn:") {
                let says = "must be the ARN of a role: it begins with arn:";
                return Err(at(file, role, "role_arn", says));
            }
            if let Some((file, line)) = here("mfa_serial") {
                let says = "asks for a code of a device, which cannot be given here: use `aws sts assume-role`, and set AWS_ACCESS_KEY_ID, \
                            AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN";
                return Err(at(file, line, "mfa_serial", says));
            }
        }
        if let Some((file, line)) = here("credential_source").filter(|(_, line)| !SOURCES.contains(&&*line.value)) {
            let says = "may be Environment, Ec2InstanceMetadata or EcsContainer";
            return Err(at(file, line, "credential_source", says));
        }
        if let Some((file, line)) = here(TOKEN_OF_PROFILE)
            && let Err(error) = (self.file)(Path::new(&line.value))
        {
            let says = format!("names a file that cannot be read: {error}");
            return Err(at(file, line, TOKEN_OF_PROFILE, &says));
        }
        for key in KEYS {
            if let Some((file, line)) = here(key).filter(|(_, line)| line.value.starts_with(['"', '\''])) {
                let says = "stands in quotes, which would be a part of it: remove them";
                return Err(at(file, line, key, says));
            }
        }
        let [id, secret] = [KEYS[0], KEYS[1]].map(here);
        match (id, secret) {
            (Some((file, line)), None) => {
                let says = "has no aws_secret_access_key beside it";
                Err(at(file, line, KEYS[0], says))
            }
            (None, Some((file, line))) => {
                let says = "has no aws_access_key_id beside it";
                Err(at(file, line, KEYS[1], says))
            }
            _ => Ok(()),
        }
    }

    /// What a container says of them. The SDK reads the first of the two addresses.
    fn container(&self) -> Result<(), String> {
        let relative = self.set(RELATIVE)?;
        let full = self.set(FULL)?;
        match (&relative, &full) {
            (Some(path), _) if !path.starts_with('/') => {
                return Err(format!("{RELATIVE} must be a path: it begins with /"));
            }
            (None, Some(address)) if !may_have_credentials(address) => {
                return Err(format!(
                    "{FULL} must begin with https://, or lead to this machine (http://127.0.0.1) or to a container agent of AWS"
                ));
            }
            (None, None) => return Ok(()),
            _ => {}
        }
        match self.set(CONTAINER_TOKEN_FILE)? {
            Some(file) => (self.file)(Path::new(&file))
                .map(drop)
                .map_err(|error| format!("{CONTAINER_TOKEN_FILE} names a file that cannot be read: {error}")),
            None => Ok(()),
        }
    }
}

/// Whether the SDK asks there: others could listen on the way to any other place. A name is looked up by the SDK.
fn may_have_credentials(address: &str) -> bool {
    let Some(rest) = address.strip_prefix("http://") else {
        return true;
    };
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let host = match host.strip_prefix('[') {
        Some(host) => host.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback() || AGENTS.contains(&host),
        Err(_) => true,
    }
}

fn half(there: &str, missing: &str) -> String {
    format!("{there} is set, and {missing} is not: set both, or neither")
}
