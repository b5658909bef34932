//! A name for [`heyun::cli::main`].

fn main() -> std::process::ExitCode {
    heyun::cli::main()
}
