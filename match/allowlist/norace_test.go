//go:build !race

package allowlist

// everyByte is the step of the tests that alter every byte of a file.
const everyByte = 1
