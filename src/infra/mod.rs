//! Infrastructure: the templates that follow from the configuration ([`render`]), and a search for
//! what loses events silently in templates that others wrote ([`check`]).
//!
//! Pure: the caller reads and writes the files. CloudFormation's language is read as far as the
//! checks need it; whatever a check does not understand, it says nothing about.

pub mod check;
pub mod render;

#[cfg(test)]
mod example;
