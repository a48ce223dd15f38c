//go:build linux && !amd64 && !arm64

package worker

const machine = 0

var local = []uint32{}
