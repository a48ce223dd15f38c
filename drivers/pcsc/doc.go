// Package pcsc drives card readers over PC/SC: it waits for readers and cards,
// carries commands to chips, and survives everything that readers, cards and
// the daemon do: appear, vanish, restart, fall silent.
//
// A Reader is one task of the agent. It implements gate.Cards. It never asks
// in a loop whether something has changed; it waits for the daemon to say so.
// Timers serve only where the daemon cannot speak: while it is not running
// (re-dial with a growing pause) and while the wanted reader is missing
// (libpcsclite before 2.3 can lose a reader that appears between two waits,
// so such a wait is renewed every ten seconds).
//
// PC/SC calls cannot be interrupted: SCardCancel ends only a wait for changes.
// A call that outlives its context is therefore abandoned where it stands.
// There is at most one such call for a reader, and until it returns the reader
// is out of order: it says so by an event and refuses further work. It recovers
// by itself when the call returns.
package pcsc
