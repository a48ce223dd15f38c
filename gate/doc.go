// Package gate is the domain of one automated gate: the evidence that drivers
// bring, the checks that judge it, the decision, and the lane that runs one
// transaction from the first scan to the recorded passage.
//
// It imports none of its siblings. Everything it needs from them stands here
// as a small interface, and every zero value refuses.
package gate
