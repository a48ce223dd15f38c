//go:build !race

package face

const race = false
