//! `/api/v1/topology`: what stands where.

use super::dto::{amount, rate, unit};
use super::error::Error;
use super::handles::{Snapshots, Store};
use super::meters::Valve;
use super::params::Params;
use crate::domain::engine::IdentityKind;
use crate::domain::topology::{Boundary, Feed, Medium, PlaceIx, PlaceKind, Point, PointKind, Responsible, Topology};
use crate::texts::{Decimal, Stamp};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;
use utoipa::ToSchema;

/// All that stands in one gateway's care.
#[derive(Debug, Serialize, ToSchema)]
pub struct TopologyReport {
    gateway: String,
    /// The compound's time zone, for example `Asia/Shanghai`.
    time_zone: Option<String>,
    /// Readings before this are refused.
    since: Stamp,
    /// Parents stand before their children.
    places: Vec<PlaceReport>,
    points: Vec<PointReport>,
    feeds: Vec<FeedReport>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct PlaceReport {
    /// Global id.
    #[schema(value_type = Option<String>)]
    id: Option<Arc<str>>,
    key: String,
    /// `community` 社区, `compound` 小区, `building` 楼栋, `unit` 单元 or `household` 户.
    #[schema(value_type = String)]
    kind: PlaceKind,
    name: String,
    /// Key of the place that this one is in.
    parent: Option<String>,
    households: Option<u32>,
    residents: Option<u32>,
}

/// A metering point: permanent, while the meter in it is replaced.
#[derive(Debug, Serialize, ToSchema)]
pub struct PointReport {
    /// Global id.
    #[schema(value_type = Option<String>)]
    id: Option<Arc<str>>,
    key: String,
    name: String,
    /// `bulk` 总表, `sub` 户表, `make_up` 补水表 or `sensor`.
    #[schema(value_type = String)]
    kind: PointKind,
    /// What its meter counts: `water`, `hot_water`, `heat`, `electricity` or `gas`. Null for a sensor.
    #[schema(value_type = Option<String>)]
    medium: Option<Medium>,
    /// Key of the place.
    place: String,
    /// Key of the metering point upstream.
    parent: Option<String>,
    /// `settlement` 结算表 or `assessment` 考核表.
    #[schema(value_type = String)]
    boundary: Boundary,
    /// Who repairs what leaks behind it: `water_company`, `owners` or `household`. Null where a meter measures no water.
    #[schema(value_type = Option<String>)]
    responsible: Option<Responsible>,
    valve: Option<Valve>,
    /// Null for a sensor.
    meter: Option<MeterReport>,
    source: Option<BindingReport>,
    limits: LimitsReport,
    yuan_per_tonne: Option<Decimal>,
}

/// The device.
#[derive(Debug, Serialize, ToSchema)]
pub struct MeterReport {
    serial: Option<String>,
    /// Nothing smaller is seen. Of heat and electricity in kilowatt-hours.
    pulse_weight_litres: Option<Decimal>,
    pulse_weight_kilowatt_hours: Option<Decimal>,
    /// Where the register begins again at zero.
    rollover_at_litres: Option<Decimal>,
    rollover_at_kilowatt_hours: Option<Decimal>,
    max_litres_per_hour: Option<Decimal>,
    max_kilowatts: Option<Decimal>,
    /// Set where the source tells a mean flow over spans of this length.
    mean_flow_over_seconds: Option<i64>,
}

/// Which number of which source the register is.
#[derive(Debug, Serialize, ToSchema)]
pub struct BindingReport {
    topic: String,
    feed: String,
    /// The register; null for a sensor, of which everything is taken.
    column: Option<String>,
}

/// Hard limits; null where there is none. Those of litres and tonnes are for water alone.
#[derive(Debug, Serialize, ToSchema)]
pub struct LimitsReport {
    litres_per_hour: Option<Decimal>,
    tonnes_per_month: Option<Decimal>,
    silent_after_seconds: Option<i64>,
}

/// A kind of message.
#[derive(Debug, Serialize, ToSchema)]
pub struct FeedReport {
    name: String,
    columns: Vec<ColumnReport>,
}

/// One number of a message.
#[derive(Debug, Serialize, ToSchema)]
pub struct ColumnReport {
    pub name: String,
    /// `volume`, `pulses`, `flow`, `temperature`, `ratio`, `energy`, `voltage` or `number`.
    #[schema(value_type = String)]
    pub quantity: crate::domain::units::Quantity,
    /// The unit in which this API writes it.
    pub unit: &'static str,
}

impl ColumnReport {
    pub fn new(c: &crate::domain::topology::Column) -> ColumnReport {
        ColumnReport { name: c.name.clone(), quantity: c.quantity, unit: unit(c.quantity) }
    }
}

type Ids = HashMap<Arc<str>, Arc<str>>;

/// What stands where
///
/// Places, metering points, the meters in them and the messages that they come by.
#[utoipa::path(get, path = "/api/v1/topology", tag = "state",
    responses((status = 200, body = TopologyReport), (status = "default", body = super::error::Problem)))]
pub async fn topology(
    State(t): State<Arc<Topology>>,
    State(snapshots): State<Snapshots>,
    State(store): State<Store>,
    params: Params,
) -> Result<Json<TopologyReport>, Error> {
    params.only(&[])?;
    let identities = store.ask(crate::store::Reader::identities).await?;
    let places: Ids = identities.into_iter().filter(|i| i.kind == IdentityKind::Place).map(|i| (i.key, i.id)).collect();
    let snapshot = snapshots.borrow().clone();
    let points: Ids = snapshot.points.iter().map(|p| (t.point(p.point).key.as_str().into(), p.id.clone())).collect();
    // A replacement that was written down is newer than the config's word.
    let plates: HashMap<&str, &str> =
        snapshot.points.iter().filter_map(|p| Some((t.point(p.point).key.as_str(), p.amended.serial()?))).collect();
    let plated = |mut report: PointReport| {
        if let Some(serial) = plates.get(report.key.as_str()) {
            report.meter.iter_mut().for_each(|m| m.serial = Some((*serial).to_owned()));
        }
        report
    };
    Ok(Json(TopologyReport {
        gateway: t.gateway.clone(),
        time_zone: t.tz.iana_name().map(str::to_owned),
        since: Stamp::new(t.since, &t.tz),
        places: (0..t.places.len()).filter_map(|i| u32::try_from(i).ok()).map(|i| place(&t, PlaceIx(i), &places)).collect(),
        points: t.points.iter().map(|p| plated(point(&t, p, &points))).collect(),
        feeds: t.feeds.iter().map(feed).collect(),
    }))
}

fn place(t: &Topology, ix: PlaceIx, ids: &Ids) -> PlaceReport {
    let p = t.place(ix);
    PlaceReport {
        id: ids.get(p.key.as_str()).cloned(),
        key: p.key.clone(),
        kind: p.kind,
        name: p.name.clone(),
        parent: p.parent.map(|up| t.place(up).key.clone()),
        households: p.households,
        residents: p.residents,
    }
}

fn point(t: &Topology, p: &Point, ids: &Ids) -> PointReport {
    PointReport {
        id: ids.get(p.key.as_str()).cloned(),
        key: p.key.clone(),
        name: p.name.clone(),
        kind: p.kind,
        medium: p.kind.is_metered().then_some(p.medium),
        place: t.place(p.place).key.clone(),
        parent: p.parent.map(|up| t.point(up).key.clone()),
        boundary: p.boundary,
        responsible: Some(p.responsible).filter(|_| p.medium.is_water()),
        valve: p.valve.as_ref().map(Valve::new),
        meter: p.kind.is_metered().then(|| meter(p)),
        source: p.source.as_ref().map(|b| BindingReport {
            topic: b.topic.clone(),
            feed: t.feed(b.feed).name.clone(),
            column: b.column.and_then(|c| t.feed(b.feed).columns.get(usize::from(c))).map(|c| c.name.clone()),
        }),
        limits: LimitsReport {
            litres_per_hour: p.limits.per_hour.map(Decimal::litres),
            tonnes_per_month: p.limits.per_month.map(Decimal::tonnes),
            silent_after_seconds: p.limits.silent_after.map(|ms| ms.0 / 1_000),
        },
        yuan_per_tonne: p.price_milliyuan_per_tonne.map(|m| Decimal::of(crate::domain::units::Quantity::Number, i64::from(m))),
    }
}

fn meter(p: &Point) -> MeterReport {
    let (pulse_weight_litres, pulse_weight_kilowatt_hours) = amount(p.medium, Some(p.meter.pulse_weight));
    let (rollover_at_litres, rollover_at_kilowatt_hours) = amount(p.medium, p.meter.rollover_at);
    let (max_litres_per_hour, max_kilowatts) = rate(p.medium, Some(p.meter.max_flow));
    MeterReport {
        serial: p.meter.serial.clone(),
        pulse_weight_litres,
        pulse_weight_kilowatt_hours,
        rollover_at_litres,
        rollover_at_kilowatt_hours,
        max_litres_per_hour,
        max_kilowatts,
        mean_flow_over_seconds: p.meter.mean_flow_over.map(|ms| ms.0 / 1_000),
    }
}

fn feed(f: &Feed) -> FeedReport {
    FeedReport { name: f.name.clone(), columns: f.columns.iter().map(ColumnReport::new).collect() }
}
