// Package faults holds the tests of what may not get lost: a kiosk's outbox
// and uplink in a process of their own, central as it ships in another, a
// broker in a third, and between them everything that fails. They are killed
// at named points of a write and at moments of chance, their disks and networks
// fail, their certificates end, and their clocks jump. The tests are built
// with the tag `faults` alone; `make faults` runs them.
//
// The ledger of each run is kept by the test, which is none of the processes
// under test: what the kiosk said it had stored, before it was killed, against
// what lies in central's database.
package faults
