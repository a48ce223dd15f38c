//go:build !race

package picture

const race = false
