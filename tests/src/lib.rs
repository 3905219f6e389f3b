//! The model kernel, the reference models and the test suites.

