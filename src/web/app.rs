//! The list of what is served. Router and OpenAPI document are made from the same one, so neither can know more than the other.

use super::error::Error;
use super::guard;
use super::handles::{App, Handles};
use super::live::{STREAMS, Streams};
use super::{
    adopted, backtest, channels, discovery, export, flow, health, incidents, ledger, live, meters, metrics, overview, pages, photos,
    picture, readings, rounds, sensors, sight, sources, topology, totals,
};
use axum::extract::DefaultBodyLimit;
use axum::http::header;
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::{Config, SwaggerUi};

/// What a client generator reads. Kept as a file: it is compared with the code by a test, and served from the binary's read-only pages.
const OPENAPI_JSON: &str = include_str!("../../docs/api/openapi.json");

#[derive(OpenApi)]
#[openapi(
    info(title = "heyun 和韵", description = "Water and heating of residential compounds: what the meters say, what is wrong, who is on it.\n\n\
        Times are RFC 3339 with the offset of the compound's clocks. Volumes are exact decimals; the unit is in the field's name. Sentences \
        come in Chinese (`zh`) and English (`en`), beside a stable `code` for programs. Fields may be added; clients ignore those they do not \
        know."),
    tags((name = "state", description = "现状 · what is now"), (name = "history", description = "历史 · what was"),
         (name = "commands", description = "操作 · what a person does"), (name = "operation", description = "运行 · how the gateway is")),
    components(schemas(super::live::Hello, super::live::ChangedMeters, super::live::ChangedSensors, super::events::EventReport))
)]
struct Api;

/// What is served under a stable address.
macro_rules! served {
    ($made_into:ident) => {
        $made_into! {
            get "/healthz" health::healthz,
            get "/metrics" metrics::metrics,
            get "/api/v1/overview" overview::overview,
            get "/api/v1/topology" topology::topology,
            get "/api/v1/meters" meters::meters,
            get "/api/v1/meters/{id}" meters::one,
            get "/api/v1/meters/{id}/sight" sight::sight,
            get "/api/v1/meters/{id}/readings" readings::readings,
            get "/api/v1/meters/{id}/flow" flow::flow,
            get "/api/v1/meters/{id}/ledger" ledger::ledger,
            post "/api/v1/meters/{id}/ledger" ledger::state,
            post "/api/v1/meters/{id}/hand-readings" rounds::read,
            get "/api/v1/rounds" rounds::rounds,
            post "/api/v1/ledger/{id}/undo" ledger::undo,
            get "/api/v1/ledger/{id}/photo" photos::photo,
            post "/api/v1/ledger/{id}/photo" photos::keep,
            get "/api/v1/sensors" sensors::sensors,
            get "/api/v1/totals" totals::totals,
            get "/api/v1/export" export::export,
            get "/api/v1/incidents" incidents::incidents,
            get "/api/v1/incidents/{id}" incidents::one,
            get "/api/v1/incidents/{id}/picture" picture::picture,
            post "/api/v1/incidents/{id}/accept" incidents::accept,
            post "/api/v1/incidents/{id}/close" incidents::close,
            get "/api/v1/sources" sources::sources,
            get "/api/v1/channels" channels::channels,
            get "/api/v1/discovery" discovery::discovery,
            post "/api/v1/discovery" discovery::hear,
            post "/api/v1/discovery/stop" discovery::stop,
            get "/api/v1/backtest" backtest::backtest,
            post "/api/v1/backtest" backtest::start,
            post "/api/v1/backtest/stop" backtest::stop,
            post "/api/v1/backtest/upload" backtest::upload,
            get "/api/v1/adopted" adopted::adopted,
            post "/api/v1/adopted" adopted::adopt,
            post "/api/v1/adopted/drop" adopted::drop_adopted,
            get "/api/v1/live" live::live,
        }
    };
}

/// A router that knows nothing of the document: to build that takes more memory than all else at start.
macro_rules! router {
    ($($method:ident $path:literal $module:ident :: $handler:ident,)*) => {
        axum::Router::new()$(.route($path, $method($module::$handler)))*
    };
}

macro_rules! document {
    ($($method:ident $path:literal $module:ident :: $handler:ident,)*) => {
        OpenApiRouter::<App>::with_openapi(Api::openapi())$(.routes(routes!($module::$handler)))*.into_openapi()
    };
}

/// The OpenAPI document of everything that is served under a stable address. Kept as a file, for the daemon to serve.
pub fn openapi() -> Document {
    served!(document)
}

/// Everything behind its guards. [`super::serve`] binds it to a listener; tests call it directly.
pub fn router(handles: Handles) -> axum::Router {
    with_streams(handles, Streams::new(STREAMS))
}

pub(super) fn with_streams(handles: Handles, streams: Streams) -> axum::Router {
    let api: axum::Router<App> = served!(router);
    let docs = SwaggerUi::new("/api/docs").config(Config::from("/api/openapi.json").validator_url("none"));
    api.route("/", get(pages::page))
        .route("/api/openapi.json", get(|| async { ([(header::CONTENT_TYPE, "application/json")], OPENAPI_JSON) }))
        .merge(docs)
        .fallback(pages::page)
        .method_not_allowed_fallback(|| async { Error::WrongMethod.into_response() })
        .with_state(App::new(handles, streams))
        .layer(DefaultBodyLimit::max(guard::BODY))
        .layer(CatchPanicLayer::custom(guard::panicked))
        .layer(middleware::from_fn(guard::guard))
}
