//! Arguments -> runtime -> exit status. Everything else is in the library.
fn main() {}
