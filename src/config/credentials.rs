//! Secrets stand beside the config, never in it: in a file, or in the environment.

use super::values::Wrong;
use std::io;
use std::path::{Path, PathBuf};

const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Where a secret is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretFrom {
    /// A file that holds nothing else. May begin with `$CREDENTIALS_DIRECTORY/`, where systemd's `LoadCredential=` puts it.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

/// Why a secret could not be had at start.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error("{key}_file: cannot read {path}: {source}", path = path.display())]
    File { key: String, path: PathBuf, source: io::Error },
    #[error("{key}_file: {path} is empty", path = path.display())]
    Empty { key: String, path: PathBuf },
    #[error(
        "{key}: the environment variable {name} is not set; set it, or add LoadCredential= to the unit (systemctl edit heyun), or name a file with {key}_file"
    )]
    Env { key: String, name: String },
}

impl SecretFrom {
    /// Reads the secret. Only for a start: a check of the config must work without the right to see it. `key` is what the config calls it,
    /// without `_file` or `_env`.
    pub fn read(&self, key: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, CredentialsError> {
        let var = |name: &str| {
            env(name).filter(|v| !v.is_empty()).ok_or_else(|| CredentialsError::Env { key: key.to_owned(), name: name.to_owned() })
        };
        match self {
            SecretFrom::Env(name) => var(name),
            SecretFrom::File(path) => {
                let path = match path.strip_prefix(format!("${CREDENTIALS_DIRECTORY}")) {
                    Ok(rest) => Path::new(&var(CREDENTIALS_DIRECTORY)?).join(rest),
                    Err(_) => path.clone(),
                };
                let text = std::fs::read_to_string(&path);
                let text = text.map_err(|source| CredentialsError::File { key: key.to_owned(), path: path.clone(), source })?;
                match text.trim_end_matches(['\r', '\n']) {
                    "" => Err(CredentialsError::Empty { key: key.to_owned(), path }),
                    secret => Ok(secret.to_owned()),
                }
            }
        }
    }
}

/// The name of an environment variable.
pub(super) fn variable(s: &str) -> Result<String, Wrong> {
    let good = s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !s.starts_with(|c: char| c.is_ascii_digit());
    // Whoever writes the secret itself here must not find it in a log.
    if good {
        Ok(s.to_owned())
    } else {
        Err(Wrong::new("this is not the name of an environment variable", "letters, digits and _: \"HEYUN_MQTT_PASSWORD\""))
    }
}
