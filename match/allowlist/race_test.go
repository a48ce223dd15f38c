//go:build race

package allowlist

// everyByte is the step of the tests that alter every byte of a file. It is
// odd, so that it meets every byte of every field of some entry.
const everyByte = 7
