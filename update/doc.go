// Package update is the kiosk's side of signed pushes after The Update
// Framework (TUF specification 1.0): allowlists, revocations, trust material,
// settings, software and models come as targets of a repository, and nothing
// of them counts that is not proven from the root that the kiosk was given.
//
// The guarantee. What is in force was verified in TUF's order (root,
// timestamp, snapshot, targets, delegated role, target) by the lane's trusted
// time, and lay synced on disk before it was put in force. Whatever fails, at
// whatever step, and whenever the machine stops: what was in force before
// stays so, and a start needs no network. A new root is kept as soon as it is
// proven, so that a key that it takes away stays without power even where
// somebody withholds all the rest. Revocations come first, alone, and wait
// for nothing else.
//
// Where the repository lies does not matter: mirrors, folders and whoever
// wakes the kiosk are trusted with nothing. What they can do is to be slow or
// silent, and staff see the age of what is in force.
package update
