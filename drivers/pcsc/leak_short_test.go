//go:build !soak

package pcsc_test

// An insertion takes most of a second: pcscd asks the driver every 0.4 s.
const (
	leakInsertions  = 100
	leakConnections = 5_000
)
