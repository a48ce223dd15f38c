//go:build !soak

package pcsc_test

// An insertion takes most of a second: pcscd asks the driver every 0.4 s.
const (
	leakInsertions  = 200
	leakConnections = 10_000
)
