//go:build soak

package pcsc_test

// Runs for about an hour and a quarter.
const (
	leakInsertions  = 10_000
	leakConnections = 50_000
)
