//! Infrastructure: the templates that follow from the configuration ([`render`]), and a search for
//! faults that lose events silently in templates that others wrote ([`check`]).
//!
//! Pure: the caller reads and writes the files. CloudFormation's language is read as far as the
//! checks need it; a check reports nothing about a part that it does not understand.

pub mod check;
pub mod render;

#[cfg(test)]
mod example;
