//go:build race

package face

// people: under the race detector drawing takes ten times as long, and one
// person more says nothing more about races.
const people = 4
