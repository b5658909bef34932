//! Where the broker is, and how to introduce oneself: the same for all who speak to it.

use rumqttc::{MqttOptions, TlsConfiguration, Transport};
use std::fmt;
use std::time::Duration;

const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Where the broker is, and who we are.
#[derive(Clone)]
pub struct Broker {
    pub host: String,
    pub port: u16,
    /// Two clients of one name throw each other out.
    pub client_id: String,
    /// User name and password.
    pub credentials: Option<(String, String)>,
    /// PEM of the authority that signed the broker's certificate; None: no TLS.
    pub ca: Option<Vec<u8>>,
}

/// The password stays out of logs.
impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {self}", self.client_id)
    }
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Broker {
    /// The client's options, with a session that ends with the connection.
    pub fn options(&self) -> MqttOptions {
        let mut o = MqttOptions::new(&self.client_id, &self.host, self.port);
        o.set_keep_alive(KEEP_ALIVE);
        o.set_clean_session(true);
        if let Some((user, password)) = &self.credentials {
            o.set_credentials(user, password);
        }
        if let Some(ca) = &self.ca {
            o.set_transport(Transport::Tls(TlsConfiguration::Simple { ca: ca.clone(), alpn: None, client_auth: None }));
        }
        o
    }
}
