//! What commands that speak to the broker themselves need to be let in.

use super::Error;
use crate::config::Mqtt;

pub struct Secrets {
    pub credentials: Option<(String, String)>,
    /// PEM of the authority that signed the broker's certificate; None: no TLS.
    pub ca: Option<Vec<u8>>,
}

impl Secrets {
    /// Reads the password and the certificate that the config names.
    pub fn read(mqtt: &Mqtt) -> Result<Secrets, Error> {
        let credentials = mqtt.credentials(&|name| std::env::var(name).ok())?;
        let ca = match &mqtt.ca_file {
            Some(path) => Some(std::fs::read(path).map_err(|source| Error::CaFile { path: path.clone(), source })?),
            None => None,
        };
        Ok(Secrets { credentials: credentials.map(|c| (c.username, c.password.unwrap_or_default())), ca })
    }
}
