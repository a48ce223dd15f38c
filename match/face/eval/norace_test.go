//go:build !race

package eval

// race says whether the race detector runs.
const race = false
