//! Under which topics a gateway tells others of its own meters. With `+` for a meter, each is the filter that takes in all.

/// What a gateway calls itself where one level of a topic has room for it.
pub fn node(gateway: &str) -> String {
    format!("heyun_{gateway}")
}

/// Whether the gateway is there.
pub fn status_topic(gateway: &str) -> String {
    format!("heyun/gateway/{gateway}/status")
}

/// A meter's register.
pub fn state_topic(gateway: &str, meter: &str) -> String {
    format!("heyun/gateway/{gateway}/meters/{meter}")
}

/// The announcement of a meter under Home Assistant's `prefix`.
pub fn config_topic(prefix: &str, gateway: &str, meter: &str) -> String {
    format!("{prefix}/sensor/{}/{meter}/config", node(gateway))
}

/// All of them, as filters.
pub fn filters(prefix: &str, gateway: &str) -> [String; 3] {
    [status_topic(gateway), state_topic(gateway, "+"), config_topic(prefix, gateway, "+")]
}
