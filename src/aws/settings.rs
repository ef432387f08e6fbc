//! Everything that the environment can say to the SDK, looked at before the SDK sees it.
//!
//! The SDK panics on some values that it cannot use, ignores others with text for programmers, and shows them. Here each
//! is one error that names the variable, or the file and the line, and says what to write. None shows a value: a secret
//! may stand in the wrong place.

mod credentials;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use super::profile::{Line, ProfileKind, parsed};

/// A variable, the key of profiles that means the same, what a value must fulfil, and what to write.
type Rule = (&'static str, &'static str, fn(&str) -> bool, &'static str);

const FLAG: &str = "must be true or false";
const ADDRESS: &str = "begins with http:// or https://, and then names a host, without a user, ? and #";
const CHECKSUMS: &str = "may be when_supported, when_required";
const NAME_OF_REGION: &str = "must be the name of a region, such as eu-central-1 (letters, digits and -)";
const SCHEMES: &str = "must be names with commas between them, and one of them sigv4: mongotar signs in no other way";
const REGION_SET: &str = "must be names of regions with commas between them, or *";
const VISIBLE: &str = "has a character that none has: a space, a line break, or one beyond ASCII";

const RULES: [Rule; 30] = [
    (
        "AWS_RETRY_MODE",
        "retry_mode",
        is_retry_mode,
        "may be standard, adaptive or legacy",
    ),
    (
        "AWS_MAX_ATTEMPTS",
        "max_attempts",
        is_count,
        "must be a whole number, 1 or more",
    ),
    ("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint", is_flag, FLAG),
    ("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint", is_flag, FLAG),
    (
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        "ignore_configured_endpoint_urls",
        is_flag,
        FLAG,
    ),
    (
        "AWS_DISABLE_REQUEST_COMPRESSION",
        "disable_request_compression",
        is_flag,
        FLAG,
    ),
    (
        "AWS_DISABLE_CLOCK_SKEW_CORRECTION",
        "disable_clock_skew_correction",
        is_flag,
        FLAG,
    ),
    (
        "AWS_S3_DISABLE_EXPRESS_SESSION_AUTH",
        "s3_disable_express_session_auth",
        is_flag,
        FLAG,
    ),
    (
        "AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES",
        "request_min_compression_size_bytes",
        is_number,
        "must be a whole number",
    ),
    (
        "AWS_REQUEST_CHECKSUM_CALCULATION",
        "request_checksum_calculation",
        is_when,
        CHECKSUMS,
    ),
    (
        "AWS_RESPONSE_CHECKSUM_VALIDATION",
        "response_checksum_validation",
        is_when,
        CHECKSUMS,
    ),
    (
        "AWS_ACCOUNT_ID_ENDPOINT_MODE",
        "account_id_endpoint_mode",
        is_mode,
        "may be preferred, disabled or required",
    ),
    (
        "AWS_AUTH_SCHEME_PREFERENCE",
        "auth_scheme_preference",
        has_signatures,
        SCHEMES,
    ),
    (
        "AWS_SIGV4A_SIGNING_REGION_SET",
        "sigv4a_signing_region_set",
        is_region_set,
        REGION_SET,
    ),
    ("AWS_REGION", "", is_region, NAME_OF_REGION),
    ("AWS_DEFAULT_REGION", "region", is_region, NAME_OF_REGION),
    ("AWS_ENDPOINT_URL", "endpoint_url", is_address, ADDRESS),
    ("AWS_ENDPOINT_URL_S3", "s3.endpoint_url", is_address, ADDRESS),
    (
        "AWS_ENDPOINT_URL_SECRETS_MANAGER",
        "secrets_manager.endpoint_url",
        is_address,
        ADDRESS,
    ),
    ("AWS_ENDPOINT_URL_STS", "sts.endpoint_url", is_address, ADDRESS),
    (
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        "ec2_metadata_service_endpoint",
        is_address,
        ADDRESS,
    ),
    (
        "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
        "ec2_metadata_service_endpoint_mode",
        is_family,
        "may be IPv4 or IPv6",
    ),
    ("AWS_EC2_METADATA_DISABLED", "", is_flag, FLAG),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "", is_address, ADDRESS),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "", is_of_header, VISIBLE),
    ("AWS_ACCESS_KEY_ID", "aws_access_key_id", is_visible, VISIBLE),
    ("AWS_SECRET_ACCESS_KEY", "aws_secret_access_key", is_visible, VISIBLE),
    ("AWS_SESSION_TOKEN", "aws_session_token", is_visible, VISIBLE),
    ("AWS_SDK_UA_APP_ID", "sdk_ua_app_id", is_visible, VISIBLE),
    ("AWS_EXECUTION_ENV", "", is_visible, VISIBLE),
];

fn is_retry_mode(value: &str) -> bool {
    ["standard", "adaptive", "legacy"]
        .iter()
        .any(|known| value.eq_ignore_ascii_case(known))
}

fn is_count(value: &str) -> bool {
    value.parse::<u32>().is_ok_and(|count| count > 0)
}

fn is_number(value: &str) -> bool {
    value.parse::<u32>().is_ok()
}

fn is_flag(value: &str) -> bool {
    value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false")
}

fn is_when(value: &str) -> bool {
    value.eq_ignore_ascii_case("when_supported") || value.eq_ignore_ascii_case("when_required")
}

fn is_mode(value: &str) -> bool {
    ["preferred", "disabled", "required"]
        .iter()
        .any(|known| value.eq_ignore_ascii_case(known))
}

/// Whether what we sign with is among the schemes. The SDK passes over those that it lacks.
fn has_signatures(value: &str) -> bool {
    let names = || value.split(',').map(|name| name.replace([' ', '\t'], ""));
    // A namespace may stand before a name: `aws.auth#sigv4`.
    let is_it = |name: String| name.rsplit('#').next() == Some("sigv4");
    names().all(|name| !name.is_empty()) && names().any(is_it)
}

/// For what SigV4A signs, of which there is nothing here.
fn is_region_set(value: &str) -> bool {
    value.split(',').map(str::trim).all(|region| {
        let begins = region.strip_suffix('*').unwrap_or(region);
        region == "*" || !region.is_empty() && is_region(begins)
    })
}

/// A label of a host's name, which it becomes.
fn is_region(value: &str) -> bool {
    let is_of_names = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    value.len() < 64 && !value.starts_with('-') && value.bytes().all(is_of_names)
}

fn is_address(value: &str) -> bool {
    let scheme = value.split_once("://");
    scheme.is_some_and(|(scheme, rest)| {
        let host = rest.split('/').next().unwrap_or_default();
        let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
        let port = host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
        let has_port = port.is_none_or(|(name, port)| !name.is_empty() && port.parse::<u16>().is_ok());
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"?#".contains(&byte);
        is_http && !host.is_empty() && !host.contains('@') && has_port && value.bytes().all(is_plain)
    })
}

fn is_family(value: &str) -> bool {
    value.eq_ignore_ascii_case("ipv4") || value.eq_ignore_ascii_case("ipv6")
}

/// As [`is_visible`], and a scheme may stand before it: `Bearer abc`.
fn is_of_header(value: &str) -> bool {
    value.split(' ').all(|word| !word.is_empty() && is_visible(word))
}

/// What a header may carry.
fn is_visible(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Where settings come from.
pub(super) struct Surroundings<'a> {
    pub(super) variable: &'a dyn Fn(&str) -> Option<OsString>,
    pub(super) file: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
}

/// The lines of one file, and its path.
pub(super) struct Profiles {
    path: PathBuf,
    lines: Vec<Line>,
}

impl Surroundings<'_> {
    /// A variable that is set to something.
    pub(super) fn set(&self, name: &str) -> Result<Option<String>, String> {
        let value = (self.variable)(name).map(OsString::into_string).transpose();
        let value = value.map_err(|_| format!("{name} is no text (UTF-8)"))?;
        Ok(value.filter(|value| !value.is_empty()))
    }

    /// Both files; the second one wins.
    pub(super) fn files(&self) -> Result<[Profiles; 2], String> {
        Ok([
            self.profiles("AWS_CONFIG_FILE", "config", ProfileKind::Config)?,
            self.profiles("AWS_SHARED_CREDENTIALS_FILE", "credentials", ProfileKind::Credentials)?,
        ])
    }

    fn profiles(&self, name: &str, usual: &str, kind: ProfileKind) -> Result<Profiles, String> {
        let named = self.set(name)?.unwrap_or_else(|| ["~/.aws/", usual].concat());
        let path = match (named.strip_prefix("~/"), self.set("HOME")?) {
            (Some(below), Some(home)) => Path::new(&home).join(below),
            _ => PathBuf::from(named),
        };
        let fault = |what: &str| format!("{} {what}", path.display());
        let text = match (self.file)(&path) {
            Ok(bytes) => String::from_utf8(bytes).map_err(|_| fault("is no text (UTF-8): save it as such"))?,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                String::new()
            }
            Err(error) => return Err(fault(&format!("cannot be read: {error}"))),
        };
        let lines =
            parsed(&text, kind).map_err(|(line, what)| fault(&format!("cannot be understood: line {line} {what}")))?;
        Ok(Profiles { path, lines })
    }

    /// The file of certificates that a profile names.
    ///
    /// # Errors
    /// If a file of profiles cannot be read.
    pub(super) fn ca_bundle(&self) -> Result<Option<String>, String> {
        let files = self.files()?;
        let profile = self.set("AWS_PROFILE")?.unwrap_or_else(|| "default".to_owned());
        let found = setting(&files, &["profile ", &profile].concat(), "ca_bundle");
        Ok(found
            .map(|(_, line)| line.value.clone())
            .filter(|path| !path.is_empty()))
    }

    /// The region that something names.
    ///
    /// # Errors
    /// The first thing that cannot be used, and what to write instead.
    pub(super) fn region(&self) -> Result<Option<String>, String> {
        let files = self.files()?;
        let profile = self.set("AWS_PROFILE")?.unwrap_or_else(|| "default".to_owned());
        let section = ["profile ", &profile].concat();
        let services = setting(&files, &section, "services").map(|(file, line)| {
            let services = ["services ", &line.value].concat();
            match is_there(&files, &services) {
                true => Ok(services),
                // The SDK would go to AWS then.
                false => Err(at(
                    file,
                    line,
                    "services",
                    "names a section [services …] that is not there",
                )),
            }
        });
        let services = services.transpose()?;
        let mut region = None;
        for (variable, key, holds, says) in RULES {
            let is_address = says == ADDRESS;
            if let Some(value) = (self.variable)(variable).filter(|value| !value.is_empty() || is_address) {
                let value = value.to_str().ok_or_else(|| format!("{variable} is no text (UTF-8)"))?;
                // The SDK takes an empty one for one that is set.
                if value.is_empty() && variable.starts_with("AWS_ENDPOINT_URL") {
                    return Err(format!(
                        "{variable} is empty: unset it, or write an address that {ADDRESS}"
                    ));
                }
                // The SDK trims these two by itself.
                let value = match variable {
                    "AWS_SESSION_TOKEN" | "AWS_EXECUTION_ENV" => value.trim(),
                    _ => value,
                };
                if !value.is_empty() && !holds(value) {
                    return Err(format!("{variable} {says}"));
                }
                if says == NAME_OF_REGION && region.is_none() && !value.is_empty() {
                    region = Some(value.to_owned());
                }
                continue;
            }
            // Settings of a service stand in the section that a profile names.
            let section = match key.contains('.') {
                true => services.as_ref(),
                false => Some(&section),
            };
            let known = says == NAME_OF_REGION && region.is_some();
            if let Some((file, line)) = section
                .filter(|_| !known)
                .and_then(|section| setting(&files, section, key))
            {
                if !holds(&line.value) {
                    return Err(at(file, line, key, says));
                }
                if says == NAME_OF_REGION {
                    region = Some(line.value.clone());
                }
            }
        }
        self.credentials(&files, &section)?;
        Ok(region)
    }
}

fn at(file: &Profiles, line: &Line, key: &str, says: &str) -> String {
    format!("{}, line {}: {key} {says}", file.path.display(), line.number)
}

/// The setting of that name that counts.
pub(super) fn setting<'a>(files: &'a [Profiles; 2], section: &str, key: &str) -> Option<(&'a Profiles, &'a Line)> {
    for file in files.iter().rev() {
        let is_it = |line: &&Line| !key.is_empty() && line.key == key && line.section == section;
        if let Some(line) = file.lines.iter().rev().find(is_it) {
            return Some((file, line));
        }
    }
    None
}

fn is_there(files: &[Profiles; 2], section: &str) -> bool {
    files
        .iter()
        .any(|file| file.lines.iter().any(|line| line.section == section))
}

fn missing(files: &[Profiles; 2], section: &str, by: &str) -> String {
    let [config, credentials] = files;
    let (first, second) = (config.path.display(), credentials.path.display());
    let mut says = format!("{by} names a profile that neither {first} nor {second} has");
    let name = section.strip_prefix("profile ").unwrap_or(section);
    if let Some(line) = config.lines.iter().find(|line| line.section == name) {
        let _ = write!(
            says,
            "; line {} of the first begins without `profile`: write [profile …]",
            line.number
        );
    }
    says
}

#[cfg(test)]
mod tests;
