// Package repo makes and keeps the update repository: a folder of plain files
// by the rules of The Update Framework (specification 1.0.31), which central
// signs and kiosks prove.
//
// What is to change stands in the folder pending as a draft for each role and
// gathers signatures there, of keys that different people hold. Commit takes
// the drafts that have their threshold, adds snapshot and timestamp with the
// online keys, proves the whole as a kiosk would, and only then writes.
//
// The guarantee of Commit: whoever reads the folders metadata and targets at
// any moment, over a mirror or after a power cut too, finds the state before
// or the state after. Files with a version or a hash in their name are written
// and synced first and never change; timestamp.json is what makes them count.
// A new root goes before the timestamp unless the timestamp also holds under
// the old one; then it goes last.
package repo
