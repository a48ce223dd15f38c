// Package house holds the rules of the house as tests: who may import whom,
// how long a function may be, that everything exported is documented, that
// the documents in docs say what the code says, and that no personal data and
// no key reaches a log, a disk or the wire. It has no code that ships.
//
// The rules read the source themselves, with go/parser. The test cache knows
// every file and folder that they open, so an answer from it is never stale.
package house
