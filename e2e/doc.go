// Package e2e holds the tests of the whole: the real programs, built as they
// ship and run as processes, a real PC/SC daemon with virtual chips, serial
// ports on pseudo-terminals, central with its broker, SQLite on disk. Nothing
// here is stood in for.
package e2e
