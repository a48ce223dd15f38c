// Package barrier drives the gate's output over one relay board on a serial
// line, and reads the passage sensor where the board has an input for it.
//
// # Who shuts the gate
//
// The agent may be killed at any instant, so it is never the agent that shuts
// the gate. One command tells the board to open for a stated time, and the
// board's own timer ends it. That leaves two kinds of boards:
//
//   - ProfileModbus: Modbus RTU with flash commands, as on Waveshare's
//     "Modbus RTU Relay" boards (function 05 at coil 0x0200+n: on for the
//     value times 100 ms; 0x0400+n: off for it; digital inputs by function
//     02). Every command is acknowledged.
//   - ProfileTimed: any board whose command carries the time, by templates.
//     Devantech's dS boards, for example: open "SR 1 on %{ms}\r\n", shut
//     "SR 1 off\r\n".
//
// Boards that only know "on" and "off" (LCUS, USB-RLY, KMTronic, Numato)
// cannot be used: a kill between the two would leave the gate open. Modem
// lines (DTR, RTS) cannot either: the kernel raises them whenever a port is
// opened, so each start of the agent would open the gate for a moment.
//
// # When it opens
//
// Only in Open, at most five seconds after the admission by the monotonic
// clock, one admission at a time. Starting, and every return of the board,
// drives "shut" first; until the board has taken that, Open refuses. While
// idle "shut" is driven again every few seconds: it changes nothing at a gate
// that is shut and tells whether the board is alive.
//
// # Emergency release
//
// Fire and emergency release bypass the agent by wiring: the release contact
// interrupts the gate's own supply or its dedicated fire input, in series
// after the relay, and opens by loss of signal. The agent neither sees it nor
// can hold against it. With a relay that is energised to keep shut
// (EnergisedShuts) loss of the board's supply opens the gate too; with
// EnergisedOpens it stays shut, and the release must not run through it.
package barrier
