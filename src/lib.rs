//! The Ferroflow engine.
