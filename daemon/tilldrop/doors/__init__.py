"""The ways in: one adapter a protocol. A library's name stops at its adapter."""
