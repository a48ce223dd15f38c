//go:build soak

package gate_test

// Runs for some minutes.
const leakReads = 10_000
