//! Makes cargo look at the built pages again when they changed. It builds none: without Node there is a binary without pages.

use std::path::Path;

fn main() {
    let dist = "dashboards/office/dist";
    // Where they are absent, their sources' folder tells when they come: a path that does not exist would make every build a new one.
    println!("cargo::rerun-if-changed={}", if Path::new(dist).is_dir() { dist } else { "dashboards" });
    println!("cargo::rerun-if-changed=build.rs");
}
