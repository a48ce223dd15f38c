//go:build !race

package face

const people = 1000 // all
