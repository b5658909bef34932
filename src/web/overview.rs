//! `/api/v1/overview`: compounds and buildings as tiles: how each is, what flows now, and today against a usual day.
//!
//! State and flow come from the newest snapshot. Today's and the usual volume are folded from the store by [`Board`], for all clients
//! together: at most one is at it at a time, and the others take what it found.

use super::clock;
use super::error::{Error, Problem};
use super::handles::{Snapshots, Store};
use super::params::Params;
use super::sensors;
use crate::domain::engine::{IdentityKind, PointState, Snapshot};
use crate::domain::finding::Cause;
use crate::domain::incident::IncidentState;
use crate::domain::time::Ts;
use crate::domain::topology::{PlaceIx, PlaceKind, Point, PointIx, PointKind, Topology};
use crate::domain::units::{Amount, Rate};
use crate::history::{Basis, Head, Register, USUAL_DAYS, Water};
use crate::store::Reader;
use crate::texts::{Decimal, Stamp};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use utoipa::ToSchema;

/// Today's volumes are not folded more often than this.
const FRESH: Duration = Duration::from_secs(5);
/// And a gateway with so many meters that folding takes long spends no more than this part of its time on it.
const SHARE: u32 = 20;

/// Compounds and buildings.
#[derive(Debug, Serialize, ToSchema)]
pub struct Overview {
    /// When the gateway's state was taken.
    at: Stamp,
    /// Sequence number of the newest event in it: where the live stream goes on.
    last_event: u64,
    /// Parents stand before their children.
    places: Vec<PlaceTile>,
}

/// A compound or a building.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlaceTile {
    /// Global id.
    #[schema(value_type = Option<String>)]
    id: Option<Arc<str>>,
    /// The id in the config.
    key: String,
    /// `compound` 小区 or `building` 楼栋.
    #[schema(value_type = String)]
    kind: PlaceKind,
    name: String,
    /// Key of the place that it is in.
    parent: Option<String>,
    /// Name of its community 社区.
    community: Option<String>,
    households: Option<u32>,
    residents: Option<u32>,
    state: PlaceState,
    /// Open incidents that speak of a meter or a sensor in it.
    open_incidents: usize,
    /// Of water, cold and hot: sum over the head meters that are heard; null where none is.
    flow_litres_per_hour: Option<Decimal>,
    /// Since local midnight, as far as it was read; null where nothing was.
    today_tonnes: Option<Decimal>,
    /// Until the same time of day, mean over those of the 7 days before of which enough is known; null where there is none.
    usual_tonnes: Option<Decimal>,
    /// Over how many days.
    usual_days: usize,
    newest_reading_at: Option<Stamp>,
    /// Metering points in it, whatever they measure.
    meters: usize,
    silent_meters: usize,
    /// Devices in it that are no meters.
    sensors: usize,
    silent_sensors: usize,
    /// Keys of the meters whose sum is the place's flow: those of water that no other in it stands upstream of. Make-up meters are not among them.
    head_meters: Vec<String>,
}

/// The worst that is true of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlaceState {
    /// Somebody called for help.
    Emergency,
    /// A leak incident is open.
    Leak,
    /// Something is open that should be shut.
    Access,
    /// A data or heating incident is open, or a meter or a sensor is silent.
    Fault,
    /// No meter was read yet; where there is none, no sensor was heard.
    NoData,
    Ok,
}

impl PlaceState {
    /// Of open incidents the most urgent tells.
    fn of(open: &[Cause], silent: bool, unheard: bool) -> PlaceState {
        let by_urgency = [(Cause::Emergency, PlaceState::Emergency), (Cause::Leak, PlaceState::Leak), (Cause::Access, PlaceState::Access)];
        match by_urgency.into_iter().find(|(cause, _)| open.contains(cause)) {
            Some((_, state)) => state,
            None if silent || !open.is_empty() => PlaceState::Fault,
            None if unheard => PlaceState::NoData,
            None => PlaceState::Ok,
        }
    }
}

/// Compounds and buildings at a glance
#[utoipa::path(get, path = "/api/v1/overview", tag = "state",
    responses((status = 200, body = Overview), (status = "default", body = Problem)))]
pub async fn overview(
    State(topology): State<Arc<Topology>>,
    State(snapshots): State<Snapshots>,
    State(store): State<Store>,
    State(board): State<Board>,
    params: Params,
) -> Result<Json<Overview>, Error> {
    params.only(&[])?;
    let snapshot = snapshots.borrow().clone();
    let folded = board.fold(&topology, &snapshot, &store).await?;
    Ok(Json(Overview {
        at: Stamp::new(snapshot.at, &topology.tz),
        last_event: snapshot.last_event,
        places: board.tiles.iter().map(|tile| place(tile, &topology, &snapshot, &folded)).collect(),
    }))
}

fn place(tile: &Tile, t: &Topology, snapshot: &Snapshot, folded: &Folded) -> PlaceTile {
    let p = t.place(tile.place);
    let states = tile.points.iter().filter_map(|ix| snapshot.points.get(ix.0 as usize));
    let (meters, sensors): (Vec<_>, Vec<_>) = states.partition(|s| t.point(s.point).kind.is_metered());
    let heads: Vec<_> = tile.heads.iter().filter_map(|ix| snapshot.points.get(ix.0 as usize)).collect();
    let keys: HashSet<&str> = tile.points.iter().map(|ix| t.point(*ix).key.as_str()).collect();
    let open: Vec<Cause> = snapshot
        .incidents
        .iter()
        .filter(|i| i.state != IncidentState::Closed && i.points.iter().any(|k| keys.contains(k.as_str())))
        .map(|i| i.cause)
        .collect();
    let silent = |points: &[&PointState]| points.iter().filter(|s| s.silent).count();
    let (silent_meters, silent_sensors) = (silent(&meters), silent(&sensors));
    let unheard = match meters[..] {
        [] => sensors.iter().all(|p| sensors::source(snapshot, p).is_none_or(|s| s.last.is_none())),
        _ => meters.iter().all(|s| s.last.is_none()),
    };
    let flows = || heads.iter().filter(|s| !s.silent).filter_map(|s| s.flow);
    let water: Vec<&Water> = tile.heads.iter().filter_map(|ix| folded.water.get(ix)).collect();
    let usual = usual(&water);
    PlaceTile {
        id: folded.ids.get(p.key.as_str()).cloned(),
        key: p.key.clone(),
        kind: p.kind,
        name: p.name.clone(),
        parent: p.parent.map(|up| t.place(up).key.clone()),
        community: t.path(tile.place).map(|ix| t.place(ix)).find(|p| p.kind == PlaceKind::Community).map(|p| p.name.clone()),
        households: p.households,
        residents: p.residents,
        state: PlaceState::of(&open, silent_meters + silent_sensors > 0, unheard),
        open_incidents: open.len(),
        flow_litres_per_hour: flows().next().map(|_| Decimal::litres_per_hour(Rate(flows().fold(0i64, |sum, f| sum.saturating_add(f.0))))),
        today_tonnes: sum(water.iter().map(|w| w.today)).map(Decimal::tonnes),
        usual_tonnes: mean(&usual).map(Decimal::tonnes),
        usual_days: usual.len(),
        newest_reading_at: Stamp::maybe(meters.iter().filter_map(|s| s.last).map(|m| m.ts).max(), &t.tz),
        meters: meters.len(),
        silent_meters,
        sensors: sensors.len(),
        silent_sensors,
        head_meters: tile.heads.iter().map(|ix| t.point(*ix).key.clone()).collect(),
    }
}

/// Of what is known; None where nothing is.
fn sum(volumes: impl Iterator<Item = Option<Amount>> + Clone) -> Option<Amount> {
    volumes.clone().any(|v| v.is_some()).then(|| volumes.flatten().sum())
}

/// The days of which all heads know enough that ever do: a sum over half of the meters is no usual day.
fn usual(heads: &[&Water]) -> Vec<Amount> {
    let telling: Vec<_> = heads.iter().filter(|w| w.before.iter().any(Option::is_some)).collect();
    if telling.is_empty() {
        return vec![];
    }
    (0..USUAL_DAYS).filter_map(|day| telling.iter().map(|w| w.before[day]).sum::<Option<Amount>>()).collect()
}

fn mean(days: &[Amount]) -> Option<Amount> {
    let n = i64::try_from(days.len()).ok().filter(|n| *n > 0)?;
    Some(days.iter().copied().sum::<Amount>().scaled(1, n))
}

/// A place that is shown, with what the config says of it.
#[derive(Debug, PartialEq, Eq)]
struct Tile {
    place: PlaceIx,
    /// All points in it.
    points: Vec<PointIx>,
    /// Those of water that no other of water in it stands upstream of.
    heads: Vec<PointIx>,
}

/// Tiles in the order of the places.
fn tiles(t: &Topology) -> Vec<Tile> {
    let shown = |ix: PlaceIx| matches!(t.place(ix).kind, PlaceKind::Compound | PlaceKind::Building);
    let places = (0..t.places.len()).filter_map(|i| u32::try_from(i).ok()).map(PlaceIx);
    let mut tiles: Vec<Tile> = places.filter(|ix| shown(*ix)).map(|place| Tile { place, points: vec![], heads: vec![] }).collect();
    let at: HashMap<PlaceIx, usize> = tiles.iter().enumerate().map(|(i, tile)| (tile.place, i)).collect();
    let is_bulk = |p: &&Point| p.kind == PointKind::Bulk && p.measures_water();
    let bulks: HashSet<PlaceIx> = t.points.iter().filter(is_bulk).map(|p| p.place).collect();
    for ix in t.point_ixs() {
        let point = t.point(ix);
        let upstream: HashSet<PlaceIx> =
            std::iter::successors(point.parent, |up| t.point(*up).parent).map(|up| t.point(up).place).collect();
        // A household stands behind its building's bulk meter even where the config does not say so; of two bulk meters only `parent` tells
        // whether one feeds the other: a garden's tap stands beside the buildings' meters, not before them.
        let behind = |place: PlaceIx| upstream.contains(&place) || point.kind != PointKind::Bulk && bulks.contains(&place);
        let mut head = matches!(point.kind, PointKind::Bulk | PointKind::Sub) && point.measures_water();
        for place in t.path(point.place) {
            head &= !behind(place);
            if let Some(tile) = at.get(&place).and_then(|i| tiles.get_mut(*i)) {
                tile.points.push(ix);
                if head {
                    tile.heads.push(ix);
                }
            }
        }
    }
    tiles
}

/// What the store told for the tiles.
#[derive(Debug)]
struct Folded {
    /// Global ids of the places by key.
    ids: HashMap<Arc<str>, Arc<str>>,
    /// Of those head meters of which something is stored.
    water: HashMap<PointIx, Water>,
}

/// The tiles, and what the store told for them last.
#[derive(Clone)]
pub struct Board {
    tiles: Arc<[Tile]>,
    /// Held while one folds; who comes meanwhile waits for what it finds.
    last: Arc<Mutex<Option<Last>>>,
}

struct Last {
    basis: Basis,
    heads: Vec<Head>,
    folded: Arc<Folded>,
    /// Until then nobody folds again.
    fresh: Instant,
}

impl Board {
    pub fn new(topology: &Topology) -> Board {
        Board { tiles: tiles(topology).into(), last: Arc::default() }
    }

    async fn fold(&self, topology: &Arc<Topology>, snapshot: &Snapshot, store: &Store) -> Result<Arc<Folded>, Error> {
        let points: HashSet<PointIx> = self.tiles.iter().flat_map(|t| t.heads.iter().copied()).collect();
        let heads = topology.point_ixs().filter(|ix| points.contains(ix));
        let heads: Vec<Head> = heads.filter_map(|ix| Some((ix, Register::now(topology, snapshot, ix)?))).collect();
        let (last, topology, store) = (self.last.clone(), topology.clone(), store.clone());
        // A task of its own: a client that hangs up must not throw away what others wait for.
        let folding = tokio::spawn(async move {
            let mut last = last.lock().await;
            if let Some(l) = last.as_ref().filter(|l| l.heads == heads && Instant::now() < l.fresh) {
                return Ok(l.folded.clone());
            }
            let new = fold(last.take(), heads, topology, &store, clock::now()).await?;
            Ok(last.insert(new).folded.clone())
        });
        folding.await.map_err(|e| Error::Internal(format!("the fold of today's volumes ended early: {e}")))?
    }
}

async fn fold(last: Option<Last>, heads: Vec<Head>, topology: Arc<Topology>, store: &Store, now: Ts) -> Result<Last, Error> {
    let began = Instant::now();
    let basis = last.map(|l| l.basis).filter(|b| b.holds(&heads, now));
    let of = heads.clone();
    let question = move |reader: &Reader| {
        let basis = match basis {
            Some(basis) => basis,
            None => Basis::of(reader, &topology, &of, now)?,
        };
        let water = basis.water(reader, &topology, now)?;
        Ok((basis, water, reader.identities()?))
    };
    let (basis, water, identities) = store.ask(question).await?;
    let ids = identities.into_iter().filter(|i| i.kind == IdentityKind::Place).map(|i| (i.key, i.id)).collect();
    let water = heads.iter().map(|(ix, _)| *ix).zip(water).collect();
    let fresh = Instant::now() + FRESH.max(began.elapsed() * SHARE);
    Ok(Last { basis, heads, folded: Arc::new(Folded { ids, water }), fresh })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::topology::{Boundary, Limits, Medium, Meter, Place, Responsible};

    fn place(key: &str, kind: PlaceKind, parent: Option<u32>) -> Place {
        Place { key: key.into(), kind, name: key.into(), parent: parent.map(PlaceIx), households: None, residents: None }
    }

    fn point(key: &str, kind: PointKind, medium: Medium, place: u32) -> Point {
        Point {
            key: key.into(),
            name: key.into(),
            kind,
            medium,
            place: PlaceIx(place),
            parent: None,
            boundary: Boundary::Settlement,
            responsible: Responsible::Owners,
            valve: None,
            meter: Meter { serial: None, pulse_weight: Amount(1), rollover_at: None, max_flow: Rate(1), mean_flow_over: None },
            source: None,
            limits: Limits::default(),
            price_milliyuan_per_tonne: None,
        }
    }

    #[test]
    fn the_water_of_a_place_is_what_comes_in_once_and_nothing_else() {
        let mut hot_of_2 = point("hot-2", PointKind::Bulk, Medium::HotWater, 2);
        let flat = |key: &str, medium, place| point(key, PointKind::Sub, medium, place);
        // Building 1 makes its hot water of its cold. To building 2 hot water comes from the compound's boiler house, which takes of the compound's.
        hot_of_2.parent = Some(PointIx(0));
        let t = Topology {
            gateway: "g1".into(),
            tz: jiff::tz::TimeZone::UTC,
            since: Ts(0),
            places: vec![
                place("c", PlaceKind::Compound, None),
                place("b1", PlaceKind::Building, Some(0)),
                place("b2", PlaceKind::Building, Some(0)),
                place("b3", PlaceKind::Building, Some(0)),
                place("f1", PlaceKind::Household, Some(1)),
                place("f2", PlaceKind::Household, Some(2)),
                place("f3", PlaceKind::Household, Some(3)),
            ],
            points: vec![
                point("compound", PointKind::Bulk, Medium::Water, 0),
                Point { parent: Some(PointIx(0)), ..point("cold-1", PointKind::Bulk, Medium::Water, 1) },
                Point { parent: Some(PointIx(0)), ..point("cold-2", PointKind::Bulk, Medium::Water, 2) },
                hot_of_2,
                flat("flat-1-hot", Medium::HotWater, 4),
                flat("flat-2-hot", Medium::HotWater, 5),
                flat("flat-3-hot", Medium::HotWater, 6),
                flat("flat-3-power", Medium::Electricity, 6),
                point("heat-1", PointKind::Bulk, Medium::Heat, 1),
                point("gas-3", PointKind::Bulk, Medium::Gas, 3),
            ],
            heating: crate::domain::heating::Heating::default(),
            feeds: vec![],
        };
        let heads: Vec<(&str, Vec<&str>, usize)> = tiles(&t)
            .iter()
            .map(|tile| {
                let keys = tile.heads.iter().map(|ix| t.point(*ix).key.as_str()).collect();
                (t.place(tile.place).key.as_str(), keys, tile.points.len())
            })
            .collect();
        assert_eq!(
            heads,
            [
                ("c", vec!["compound"], 10),
                ("b1", vec!["cold-1"], 3),
                ("b2", vec!["cold-2", "hot-2"], 3),
                // No meter of water stands before this flat in its building: a bulk meter of gas is none.
                ("b3", vec!["flat-3-hot"], 3),
            ]
        );
    }
}
