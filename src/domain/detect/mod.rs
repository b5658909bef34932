//! Rules that turn volumes into findings.
