//go:build !soak

package gate_test

const leakReads = 200
