// Package kiosk stands up whole gates for tests: the real programs as child
// processes, a card reader daemon of their own, scanner and relay on
// pseudo-terminals, a trust folder, a signed allowlist, and central. Every
// part can be stopped, killed, unplugged and brought back alone.
//
// Nothing survives the test: children die with the process that started them,
// and every file lies in the folder that the caller gives.
package kiosk
