use super::*;
use serde_json::json;

const SENSOR: &str = "homeassistant/sensor/b15/config";
const BINARY: &str = "homeassistant/binary_sensor/b15/leak/config";
const DEVICE_TOPIC: &str = "homeassistant/device/b15/config";

/// One entity in mostly short keys (OpenMQTTGateway), and a device with one component.
const SINGLE: &str = r#"{"stat_t":"/BTtoMQTT/582D3433AAF3","name":"MiJia-tem","uniq_id":"582D3433AAF3-MiJia-tem","dev_cla":"temperature",
    "val_tpl":"{{ value_json.tem | is_defined }}","unit_of_meas":"°C","device":{"name":"MiJia","identifiers":["D8A01D47277C"]}}"#;
const MANY: &str = r#"{"dev":{"ids":"b15"},"o":{"name":"x"},"cmps":{"total":{"p":"sensor","device_class":"water","unit_of_measurement":"m³",
    "state_class":"total_increasing","value_template":"{{ value_json.total }}","unique_id":"b15_total"}},"state_topic":"b15/state"}"#;

fn found(topic: &str, payload: &str) -> Found {
    match read("homeassistant", topic, payload.as_bytes()) {
        Ok(Discovery::Found(found)) => found,
        other => panic!("{other:?} of {payload}"),
    }
}

fn one(topic: &str, payload: &Value) -> Entity {
    let mut found = found(topic, &payload.to_string());
    assert_eq!((found.entities.len(), found.faulty.len(), found.removed.len(), found.skipped), (1, 0, 0, 0), "{payload}");
    found.entities.remove(0)
}

fn error(topic: &str, payload: &str) -> DiscoveryError {
    read("homeassistant", topic, payload.as_bytes()).unwrap_err()
}

/// A sensor that says nothing but its topic.
fn bare(object: &str, state_topic: &str) -> Entity {
    Entity {
        component: Component::Sensor,
        object: object.into(),
        unique_id: None,
        name: None,
        device_id: None,
        device_name: None,
        manufacturer: None,
        model: None,
        serial: None,
        state_topic: state_topic.into(),
        place: Ok(String::new()),
        unit: None,
        device_class: None,
        state_class: None,
        expire_after_s: None,
        availability: Vec::new(),
        availability_mode: AvailabilityMode::Latest,
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.into())
}

#[test]
fn one_entity_is_read() {
    let want = Entity {
        unique_id: some("582D3433AAF3-MiJia-tem"),
        name: some("MiJia-tem"),
        device_id: some("D8A01D47277C"),
        device_name: some("MiJia"),
        place: Ok("/tem".into()),
        unit: some("°C"),
        device_class: some("temperature"),
        ..bare("582D3433AAF3/tem", "/BTtoMQTT/582D3433AAF3")
    };
    assert_eq!(found("homeassistant/sensor/582D3433AAF3/tem/config", SINGLE), Found { entities: vec![want], ..Found::default() });
}

#[test]
fn a_device_with_its_components_is_read() {
    let want = Entity {
        unique_id: some("b15_total"),
        device_id: some("b15"),
        place: Ok("/total".into()),
        unit: some("m³"),
        device_class: some("water"),
        state_class: some("total_increasing"),
        ..bare("total", "b15/state")
    };
    let want = Found { entities: vec![want], ..Found::default() };
    assert_eq!(found(DEVICE_TOPIC, MANY), want);
    assert_eq!(found("homeassistant/device/node/b15/config", MANY), want);
}

#[test]
fn long_and_short_keys_say_the_same() {
    let long = json!({
        "~": "b15", "name": "Leak", "unique_id": "b15_leak", "state_topic": "~/state", "value_template": "{{ value_json.leak }}",
        "device_class": "moisture", "state_class": "measurement", "unit_of_measurement": "1", "payload_on": "wet", "payload_off": "dry",
        "expire_after": 7200, "availability_mode": "all", "json_attributes_topic": "b15/more",
        "availability": [
            {"topic": "b15/lwt", "value_template": "{{ value_json.s }}", "payload_available": "up", "payload_not_available": "down"},
        ],
        "device": {
            "identifiers": ["b15"], "connections": [["mac", "02:00"]], "name": "B15", "manufacturer": "M", "model": "X1",
            "sw_version": "2", "serial_number": "7",
        },
    });
    let short = json!({
        "~": "b15", "name": "Leak", "uniq_id": "b15_leak", "stat_t": "~/state", "val_tpl": "{{ value_json.leak }}",
        "dev_cla": "moisture", "stat_cla": "measurement", "unit_of_meas": "1", "pl_on": "wet", "pl_off": "dry",
        "exp_aft": 7200, "avty_mode": "all", "json_attr_t": "b15/more",
        "avty": [{"t": "b15/lwt", "val_tpl": "{{ value_json.s }}", "pl_avail": "up", "pl_not_avail": "down"}],
        "dev": {"ids": ["b15"], "cns": [["mac", "02:00"]], "name": "B15", "mf": "M", "mdl": "X1", "sw": "2", "sn": "7"},
    });
    let want = Entity {
        component: Component::BinarySensor { on: "wet".into(), off: "dry".into() },
        unique_id: some("b15_leak"),
        name: some("Leak"),
        device_id: some("b15"),
        device_name: some("B15"),
        manufacturer: some("M"),
        model: some("X1"),
        serial: some("7"),
        place: Ok("/leak".into()),
        unit: some("1"),
        device_class: some("moisture"),
        state_class: some("measurement"),
        expire_after_s: Some(7200),
        availability: vec![Availability { topic: "b15/lwt".into(), place: Ok("/s".into()), online: "up".into(), offline: "down".into() }],
        availability_mode: AvailabilityMode::All,
        ..bare("b15/leak", "b15/state")
    };
    assert_eq!(one(BINARY, &long), want);
    assert_eq!(one(BINARY, &short), want);

    let long = json!({"state_topic": "s", "availability_topic": "a", "availability_template": "{{ value }}", "payload_available": "1"});
    let short = json!({"stat_t": "s", "avty_t": "a", "avty_tpl": "{{ value }}", "pl_avail": "1"});
    let want = vec![Availability { topic: "a".into(), place: Ok(String::new()), online: "1".into(), offline: "offline".into() }];
    assert_eq!(one(SENSOR, &long), Entity { availability: want, ..bare("b15", "s") });
    assert_eq!(one(SENSOR, &short), one(SENSOR, &long));

    let long = json!({
        "device": {"identifiers": "b15"},
        "components": {"x": {"platform": "sensor", "state_topic": "s"}, "y": {"platform": "light"}},
    });
    let short = json!({"dev": {"ids": "b15"}, "cmps": {"x": {"p": "sensor", "stat_t": "s"}, "y": {"p": "light"}}});
    assert_eq!(found(DEVICE_TOPIC, &long.to_string()), found(DEVICE_TOPIC, &short.to_string()));
}

#[test]
fn what_is_left_out_is_what_home_assistant_takes() {
    let entity = one(BINARY, &json!({"stat_t": "s", "avty": {"t": "a"}}));
    let usual = Availability { topic: "a".into(), place: Ok(String::new()), online: "online".into(), offline: "offline".into() };
    let component = Component::BinarySensor { on: "ON".into(), off: "OFF".into() };
    assert_eq!(entity, Entity { component, availability: vec![usual], ..bare("b15/leak", "s") });
    // Nothing is said by null, nor by an empty text.
    let nothing =
        json!({"stat_t": "s", "name": null, "uniq_id": "", "unit_of_meas": null, "dev": null, "avty": null, "exp_aft": 0, "val_tpl": null});
    assert_eq!(one(SENSOR, &nothing), bare("b15", "s"));
}

#[test]
fn on_and_off_may_be_booleans_or_numbers() {
    let component = |on: Value, off: Value| one(BINARY, &json!({"stat_t": "s", "pl_on": on, "pl_off": off})).component;
    assert_eq!(component(json!(true), json!(false)), Component::BinarySensor { on: "true".into(), off: "false".into() });
    assert_eq!(component(json!(1), json!(0)), Component::BinarySensor { on: "1".into(), off: "0".into() });
}

#[test]
fn a_device_is_named_by_its_first_identifier_or_else_by_its_address() {
    let id = |dev: Value| one(SENSOR, &json!({"stat_t": "s", "dev": dev})).device_id;
    assert_eq!(id(json!({"ids": ["a", "b"]})), some("a"));
    assert_eq!(id(json!({"ids": 12_380_568})), some("12380568"));
    assert_eq!(id(json!({"ids": [], "cns": [["mac", "02:00"]]})), some("02:00"));
    assert_eq!(id(json!({"cns": [["mac"]]})), None);
    assert_eq!(id(json!({})), None);
}

#[test]
fn a_tilde_stands_for_the_base_at_the_beginning_and_at_the_end() {
    let topics = |base: Value| {
        let e = one(SENSOR, &json!({"~": base, "stat_t": "~/state", "avty": [{"t": "lwt/~"}, {"t": "~"}, {"t": "a~b"}, {"t": "~/x/~"}]}));
        (e.state_topic, e.availability.into_iter().map(|a| a.topic).collect::<Vec<_>>())
    };
    assert_eq!(topics(json!("h/b15")), ("h/b15/state".into(), ["lwt/h/b15", "h/b15", "a~b", "h/b15/x/h/b15"].map(String::from).into()));
    assert_eq!(topics(Value::Null), ("~/state".into(), ["lwt/~", "~", "a~b", "~/x/~"].map(String::from).into()));
    assert_eq!(one(SENSOR, &json!({"~": "h", "stat_t": "~/s", "avty_t": "~/lwt"})).availability[0].topic, "h/lwt");
    // Names and templates are no topics.
    assert_eq!(one(SENSOR, &json!({"~": "h", "stat_t": "~/s", "name": "~"})).name, some("~"));
}

#[test]
fn an_empty_message_takes_everything_back() {
    for topic in [SENSOR, BINARY, DEVICE_TOPIC, "homeassistant/light/x/config"] {
        assert_eq!(read("homeassistant", topic, b""), Ok(Discovery::Removed));
    }
    assert_eq!(read("homeassistant", SENSOR, br#"{"migrate_discovery":true}"#), Ok(Discovery::Removed));
    assert_eq!(read("homeassistant", DEVICE_TOPIC, br#"{"migr_discvry": true }"#), Ok(Discovery::Removed));
}

#[test]
fn a_component_may_differ_from_its_device_or_be_taken_back() {
    let found = found(
        DEVICE_TOPIC,
        &json!({
            "dev": {"ids": "b15", "name": "B15"}, "~": "h", "stat_t": "~/state", "avty_t": "~/lwt", "pl_avail": "up", "avty_mode": "any",
            "val_tpl": "{{ value_json.not_shared }}", "name": "not shared",
            "cmps": {
                "a": {"p": "sensor", "val_tpl": "{{ value_json.a }}"},
                "b": {"p": "sensor", "stat_t": "~/b", "~": "own", "avty": [{"t": "~/c"}]},
                "c": {"p": "binary_sensor", "stat_t": "c", "pl_not_avail": "down", "dev": {"ids": "other"}},
                "gone": {"p": "sensor"},
                "gone too": {"platform": "binary_sensor"},
                "lamp": {"p": "light", "cmd_t": "x"},
                "update": {"p": "update"},
            },
        })
        .to_string(),
    );
    let there = |topic: &str, online: &str, offline: &str| {
        vec![Availability { topic: topic.into(), place: Ok(String::new()), online: online.into(), offline: offline.into() }]
    };
    let base = |object: &str, topic: &str| Entity {
        device_id: some("b15"),
        device_name: some("B15"),
        availability_mode: AvailabilityMode::Any,
        availability: there("h/lwt", "up", "offline"),
        ..bare(object, topic)
    };
    let want = Found {
        entities: vec![
            Entity { place: Ok("/a".into()), ..base("a", "h/state") },
            Entity { availability: there("own/c", "online", "offline"), ..base("b", "own/b") },
            Entity {
                component: Component::BinarySensor { on: "ON".into(), off: "OFF".into() },
                availability: there("h/lwt", "up", "down"),
                ..base("c", "c")
            },
        ],
        faulty: vec![],
        removed: vec!["gone".into(), "gone too".into()],
        skipped: 2,
    };
    assert_eq!(found, want);
}

#[test]
fn what_is_wrong_with_one_component_spoils_no_other() {
    let found = found(
        DEVICE_TOPIC,
        &json!({"cmps": {
            "computes": {"p": "sensor", "stat_t": "s", "val_tpl": "{{ value_json.a | round(1) }}", "unit_of_meas": "m³"},
            "good": {"p": "sensor", "stat_t": "s"},
            "greedy": {"p": "sensor", "stat_t": "#"},
            "lost": {"p": "sensor", "name": "x"},
            "nothing": 5,
            "unknown": {"stat_t": "s"},
            "words": {"p": "sensor", "stat_t": "s", "exp_aft": "soon"},
        }})
        .to_string(),
    );
    let refused = Err(TemplateError::Filter { found: "round(1)".into() });
    let computes = Entity { place: refused, unit: some("m³"), ..bare("computes", "s") };
    assert_eq!(found.entities, [computes, bare("good", "s")]);
    let faulty: Vec<_> = found.faulty.iter().map(|f| (f.object.as_str(), f.error.to_string())).collect();
    let want = [
        (
            "greedy",
            r##""state_topic" ("stat_t") must be a topic without "+", "#", control characters and a "$" at its beginning, not "#""##,
        ),
        ("lost", r#""state_topic" ("stat_t") is missing"#),
        ("nothing", r#""components" ("cmps") must be objects, not 5"#),
        ("unknown", r#""platform" ("p") is missing"#),
        ("words", r#""expire_after" ("exp_aft") must be a whole number of seconds, not "soon""#),
    ];
    assert_eq!(faulty, want.map(|(object, error)| (object, error.into())));
}

#[test]
fn an_availability_that_cannot_be_followed_leaves_the_value() {
    let entity = one(SENSOR, &json!({"stat_t": "s", "avty_t": "a", "avty_tpl": "{{ 'online' if value == '1' else 'offline' }}"}));
    assert_eq!(entity.place, Ok(String::new()));
    let found = "'online' if value == '1' else 'offline'".into();
    assert_eq!(entity.availability[0].place, Err(TemplateError::Source { found }));
}

#[test]
fn other_components_are_counted_and_not_read() {
    for topic in ["homeassistant/light/x/config", "homeassistant/device_automation/x/y/config"] {
        assert_eq!(found(topic, "{nonsense"), Found { skipped: 1, ..Found::default() });
    }
}

#[test]
fn only_topics_of_discovery_are_taken() {
    let ok = |prefix: &str, topic: &str| !matches!(read(prefix, topic, b""), Err(DiscoveryError::Topic { .. }));
    assert!(ok("homeassistant", SENSOR) && ok("homeassistant", BINARY) && ok("homeassistant", DEVICE_TOPIC));
    assert!(ok("my/ha", "my/ha/sensor/a-b_C/config"));
    for topic in [
        "",
        "homeassistant",
        "homeassistant/sensor/config",
        "homeassistant/sensor/x/state",
        "homeassistant/sensor/x/config/more",
        "homeassistant/sensor/a/b/c/config",
        "homeassistant/sensor//config",
        "homeassistant/sensor/a//config",
        "homeassistant//x/config",
        "homeassistant/sensor/a b/config",
        "homeassistant/sensor/水/config",
        "homeassistant2/sensor/x/config",
        "other/sensor/x/config",
        "/homeassistant/sensor/x/config",
    ] {
        assert!(!ok("homeassistant", topic), "{topic:?}");
    }
    assert_eq!(
        error("x", "").to_string(),
        "\"x\" is no discovery topic; right is homeassistant/<component>/<object>/config or \
         homeassistant/<component>/<node>/<object>/config, each of letters A to Z, digits, \"_\" and \"-\""
    );
}

#[test]
fn what_is_no_json_object_is_refused() {
    assert_eq!(read("homeassistant", SENSOR, b"{\"a\":\xff}"), Err(DiscoveryError::Utf8 { at: 5 }));
    assert_eq!(error(SENSOR, "{\"a\":1,\n  b}"), DiscoveryError::Json { line: 2, column: 3 });
    assert_eq!(error(SENSOR, " "), DiscoveryError::Json { line: 1, column: 1 });
    assert_eq!(error(SENSOR, "{} x"), DiscoveryError::Json { line: 1, column: 4 });
    assert_eq!(error(SENSOR, "[1]"), DiscoveryError::Object { found: "[1]".into() });
    assert!(matches!(error(SENSOR, &"[".repeat(60_000)), DiscoveryError::Json { .. }));
    let big = " ".repeat(PAYLOAD_LIMIT + 1);
    assert_eq!(error(SENSOR, &big), DiscoveryError::Size { bytes: PAYLOAD_LIMIT + 1, limit: PAYLOAD_LIMIT });
    // What devices put around it is no fault.
    assert_eq!(found(SENSOR, "\u{feff}{\"stat_t\":\"s\"}\n\0").entities, [bare("b15", "s")]);
}

#[test]
fn what_must_be_there_is_named_in_both_spellings() {
    assert_eq!(error(SENSOR, "{}"), DiscoveryError::Key(KeyError::Missing { key: STATE_TOPIC }));
    assert_eq!(error(SENSOR, r#"{"stat_t":""}"#).to_string(), r#""state_topic" ("stat_t") is missing"#);
    assert_eq!(error(SENSOR, r#"{"stat_t":"s","avty":[{}]}"#).to_string(), r#""topic" ("t") is missing"#);
    assert_eq!(error(DEVICE_TOPIC, r#"{"stat_t":"s"}"#).to_string(), r#""components" ("cmps") is missing"#);
    assert_eq!(error(DEVICE_TOPIC, r#"{"cmps":[]}"#).to_string(), r#""components" ("cmps") must be an object, not []"#);
}

#[test]
fn what_is_of_another_kind_is_refused() {
    for (payload, want) in [
        (json!({"stat_t": ["s"]}), r#""state_topic" ("stat_t") must be a text, not ["s"]"#),
        (json!({"stat_t": "s", "name": {}}), r#""name" must be a text, not {}"#),
        (json!({"stat_t": "s", "dev": "b15"}), r#""device" ("dev") must be an object, not "b15""#),
        (json!({"stat_t": "s", "dev": {"cns": "x"}}), r#""connections" ("cns") must be a list of pairs, not "x""#),
        (json!({"stat_t": "s", "val_tpl": {}}), r#""value_template" ("val_tpl") must be a text, not {}"#),
        (json!({"stat_t": "s", "exp_aft": -1}), r#""expire_after" ("exp_aft") must be a whole number of seconds, not -1"#),
        (json!({"stat_t": "s", "avty": "a"}), r#""availability" ("avty") must be objects, not "a""#),
        (json!({"stat_t": "s", "avty_mode": "some"}), r#""availability_mode" ("avty_mode") must be "all", "any" or "latest", not "some""#),
    ] {
        assert_eq!(error(SENSOR, &payload.to_string()).to_string(), want);
    }
    for seconds in [json!(60), json!("60"), json!(60.0)] {
        assert_eq!(one(SENSOR, &json!({"stat_t": "s", "exp_aft": seconds})).expire_after_s, Some(60));
    }
    // More digits than a number of JSON keeps.
    assert!(matches!(error(SENSOR, r#"{"stat_t":"s","dev":{"ids":89860012345678901234}}"#), DiscoveryError::Key(KeyError::Kind { .. })));
}

#[test]
fn nobody_can_make_the_gateway_subscribe_to_more_than_a_topic() {
    for topic in ["#", "a/+/b", "a#", "$SYS/x", "$share/g/x", "a\u{0}b", "a\nb"] {
        assert!(matches!(error(SENSOR, &json!({"stat_t": topic}).to_string()), DiscoveryError::Key(KeyError::Topic { .. })), "{topic:?}");
        assert!(matches!(error(SENSOR, &json!({"stat_t": "s", "avty_t": topic}).to_string()), DiscoveryError::Key(KeyError::Topic { .. })));
        assert!(matches!(error(SENSOR, &json!({"stat_t": "~", "~": topic}).to_string()), DiscoveryError::Key(KeyError::Topic { .. })));
    }
}

#[test]
fn sizes_are_limited() {
    let components = |n: usize| {
        let all: Object = (0..n).map(|i| (format!("c{i}"), json!({"p": "sensor", "stat_t": "s"}))).collect();
        read("homeassistant", DEVICE_TOPIC, json!({"cmps": all}).to_string().as_bytes())
    };
    assert!(matches!(components(64), Ok(Discovery::Found(found)) if found.entities.len() == 64));
    assert_eq!(components(65), Err(DiscoveryError::Components { found: 65, limit: 64 }));

    let list = |n: usize| json!({"stat_t": "s", "avty": vec![json!({"t": "a"}); n]});
    assert_eq!(one(SENSOR, &list(16)).availability.len(), 16);
    assert_eq!(error(SENSOR, &list(17).to_string()), DiscoveryError::Key(KeyError::Many { key: AVAILABILITY, limit: 16 }));

    let topic = |n: usize| json!({"stat_t": "s".repeat(n)});
    assert_eq!(one(SENSOR, &topic(1024)).state_topic.len(), 1024);
    let long = DiscoveryError::Key(KeyError::Long { key: STATE_TOPIC, limit: 1024 });
    assert_eq!(error(SENSOR, &topic(1025).to_string()), long);
    assert_eq!(error(SENSOR, &json!({"~": "b".repeat(600), "stat_t": "~/~"}).to_string()), long);
}

#[test]
fn of_both_spellings_the_short_one_counts() {
    assert_eq!(one(SENSOR, &json!({"state_topic": "long", "stat_t": "short"})).state_topic, "short");
}

#[test]
fn a_message_that_was_cut_off_is_refused() {
    for (topic, payload) in [(SENSOR, SINGLE), (BINARY, SINGLE), (DEVICE_TOPIC, MANY)] {
        for end in 1..payload.len() {
            let cut = read("homeassistant", topic, &payload.as_bytes()[..end]);
            assert!(matches!(cut, Err(DiscoveryError::Json { .. } | DiscoveryError::Utf8 { .. })), "{end}: {cut:?}");
        }
    }
}
