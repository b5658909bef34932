//! What is published where, as texts. Pure.

use crate::domain::announce;
use crate::domain::engine::PointState;
use crate::domain::topology::{Medium, Point, PointKind, Topology};
use crate::texts::{Decimal, Stamp};
use serde_json::{Value, json};

/// Whether the gateway is there.
pub const ONLINE: &str = "online";
pub const OFFLINE: &str = "offline";

/// The topics of one gateway, and what is said of its meters.
pub struct Words<'t> {
    topology: &'t Topology,
    /// Where Home Assistant looks for announcements.
    prefix: &'t str,
}

impl<'t> Words<'t> {
    pub fn new(topology: &'t Topology, prefix: &'t str) -> Words<'t> {
        Words { topology, prefix }
    }

    pub fn status_topic(&self) -> String {
        announce::status_topic(&self.topology.gateway)
    }

    pub fn state_topic(&self, p: &Point) -> String {
        announce::state_topic(&self.topology.gateway, &p.key)
    }

    pub fn config_topic(&self, p: &Point) -> String {
        announce::config_topic(self.prefix, &self.topology.gateway, &p.key)
    }

    /// Takes in every announcement of this gateway, also of meters that it has no more.
    pub fn config_filter(&self) -> String {
        announce::config_topic(self.prefix, &self.topology.gateway, "+")
    }

    /// The announcement of a meter (Home Assistant, *MQTT Discovery* and *MQTT Sensor*). It counts as unavailable until its register was
    /// read, while it is silent, and while the gateway is away.
    pub fn config(&self, p: &Point) -> Value {
        let id = format!("{}_{}", announce::node(&self.topology.gateway), p.key);
        let state = self.state_topic(p);
        let Total { field, unit, class } = Total::of(p.medium);
        // Without a name of its own the entity has that of its class, in the reader's language.
        let mut config = json!({
            "unique_id": format!("{id}_total"),
            "state_topic": state,
            "value_template": format!("{{{{ value_json.{field} }}}}"),
            "json_attributes_topic": state,
            "device_class": class,
            "state_class": "total_increasing",
            "unit_of_measurement": unit,
            "availability_mode": "all",
            "availability": [
                { "topic": self.status_topic() },
                { "topic": state, "value_template": "{{ 'offline' if value_json.silent else 'online' }}" },
            ],
            "device": { "identifiers": [id], "name": p.name, "suggested_area": self.topology.place(p.place).name },
            "origin": { "name": "heyun", "sw_version": env!("CARGO_PKG_VERSION") },
        });
        if let Some(serial) = &p.meter.serial {
            config["device"]["serial_number"] = serial.as_str().into();
        }
        config
    }

    /// What a meter's register shows. None before the first reading.
    pub fn state(&self, s: &PointState) -> Option<Value> {
        let (last, medium) = (s.last?, self.topology.point(s.point).medium);
        let register = if medium.is_energy() { Decimal::kilowatt_hours(last.register) } else { Decimal::cubic_metres(last.register) };
        Some(json!({
            Total::of(medium).field: register,
            "measured_at": Stamp::new(last.ts, &self.topology.tz),
            "silent": s.silent,
        }))
    }
}

/// How a register is told, in Home Assistant's words (*Sensor*, device classes).
struct Total {
    field: &'static str,
    unit: &'static str,
    class: &'static str,
}

impl Total {
    const fn of(medium: Medium) -> Total {
        match medium {
            Medium::Water | Medium::HotWater => Total { field: "total_m3", unit: "m³", class: "water" },
            Medium::Gas => Total { field: "total_m3", unit: "m³", class: "gas" },
            Medium::Heat | Medium::Electricity => Total { field: "total_kwh", unit: "kWh", class: "energy" },
        }
    }
}

/// Whether a point has a register to tell of.
pub fn is_meter(p: &Point) -> bool {
    p.kind != PointKind::Sensor
}
