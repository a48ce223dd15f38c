package bench

import (
	"fmt"
	"time"

	"gateagent/sim/chip"
	"gateagent/sim/doc"
)

// Command is one entry of a floor: the lengths of command and answer on the
// air, and the key operations that the chip computes for it.
type Command struct {
	Name           string
	Out, In, Steps int
	Fixed          time.Duration // instead of Steps, where the model sets a protocol's time
}

// Floor is the list of commands that a verdict needs.
type Floor []Command

// Time is what a chip needs for the list by its model.
func (f Floor) Time(m chip.Model) time.Duration {
	var sum time.Duration
	for _, c := range f {
		sum += m.Latency(c.Out, c.In, c.Steps) + c.Fixed
	}
	return sum
}

// list is a floor in the making. It follows the protocols only as far as they
// change lengths.
type list struct {
	doc   *doc.Document
	model chip.Model
	chunk int // data bytes of the largest READ BINARY that chip and reader take
	short bool
	block int // of secure messaging; 0 outside
	out   Floor
}

// block sizes of the ciphers.
const (
	des = 8
	aes = 16
)

// object is the length of a data object with n bytes of value and a tag of one
// byte (ISO/IEC 7816-4 section 5.2.2.2: one, two or three bytes of length).
func object(n int) int {
	switch {
	case n < 0x80:
		return 2 + n
	case n <= 0xFF:
		return 3 + n
	}
	return 4 + n
}

// padded is n bytes with padding method 2 (ISO/IEC 9797-1).
func (l *list) padded(n int) int { return (n/l.block + 1) * l.block }

// plain is a command outside secure messaging: header, Lc and data, Le.
func (l *list) plain(name string, data int, le bool, answer, steps int) {
	n, width := 4, 1
	if data > 255 { // extended length: three bytes of Lc, two of Le
		n, width = n+2, 2
	}
	if data > 0 {
		n += 1 + data
	}
	if le {
		n += width
	}
	l.out = append(l.out, Command{Name: name, Out: n, In: answer + 2, Steps: steps})
}

// keys sets the time of the last command's key operations where the model has
// one for the whole protocol.
func (l *list) keys(fixed time.Duration) {
	if fixed > 0 {
		c := &l.out[len(l.out)-1]
		c.Steps, c.Fixed = 0, fixed
	}
}

// protected is a command under secure messaging (ICAO 9303-11 section 9.8.4):
// DO 87 or 85 with the data, DO 97 with Le, DO 8E; the answer has DO 87 or 85,
// DO 99, DO 8E. le is the number of bytes asked for.
func (l *list) protected(name string, odd bool, data, le, answer, steps int) {
	const mac, status, indicator = 10, 4, 1
	body, in := mac, status+mac+2
	cryptogram := func(n int) int {
		if odd {
			return object(l.padded(n))
		}
		return object(indicator + l.padded(n))
	}
	if data > 0 {
		body += cryptogram(data)
	}
	extended := false
	switch {
	case le > 256:
		body += 4
		extended = true
	case le > 0:
		body += 3
	}
	if answer > 0 {
		in += cryptogram(answer)
	}
	// An answer of more than 256 bytes needs a command of extended length.
	extended = !l.short && (extended || body > 255 || in-2 > 256)
	out := 4 + 1 + body + 1
	if extended {
		out = 4 + 3 + body + 2
	}
	l.out = append(l.out, Command{Name: name, Out: out, In: in, Steps: steps})
}

// cardAccess is READ BINARY of EF.CardAccess by its short identifier. A chip
// without one says so; until it has, nobody may take BAC.
func (l *list) cardAccess() {
	l.plain("EF.CardAccess", 0, true, len(l.doc.CardAccess()), 0)
}

// Lengths of what PACE and chip authentication send.
const (
	protocolOID = 2 + 10 // DO 80 with 0.4.0.127.0.7.2.2.x.y.z
	passwordRef = 3
	macToken    = 8
)

// pace is PACE with public values of size bytes (ICAO 9303-11 section 4.4.4).
// With the generic mapping the chip computes a key pair and an agreement for
// the mapping and once more for the key agreement.
func (l *list) pace(size int) {
	l.plain("PACE: MSE:Set AT", protocolOID+passwordRef, false, 0, 0)
	l.plain("PACE: nonce", object(0), true, object(object(aes)), 0)
	l.plain("PACE: mapping", object(object(size)), true, object(object(size)), 2)
	l.keys(l.model.PACE / 2)
	l.agreement(size, 0)
}

// agreement is what every mapping ends with; more is what stands beside the
// chip's token.
func (l *list) agreement(size, more int) {
	l.plain("PACE: key agreement", object(object(size)), true, object(object(size)), 2)
	l.keys(l.model.PACE / 2)
	l.plain("PACE: tokens", object(object(macToken)), true, object(object(macToken)+more), 0)
	l.block = aes
}

// integrated is PACE with integrated mapping (section 4.4.3.3.2), nonces of
// both sides of n bytes: the chip maps them by one operation.
func (l *list) integrated(size, n int) {
	l.plain("PACE: MSE:Set AT", protocolOID+passwordRef, false, 0, 0)
	l.plain("PACE: nonce", object(0), true, object(object(n)), 0)
	l.plain("PACE: integrated mapping", object(object(n)), true, object(object(0)), 1)
	l.agreement(size, 0)
}

// mapped is PACE with chip authentication mapping (section 4.4.3.5): a proof of
// the length of the order comes with the token, which costs the chip one
// operation, and EF.CardSecurity is needed to judge it.
func (l *list) mapped(size, order int) {
	l.block = aes
	proof := object(l.padded(order))
	l.block = 0
	l.plain("PACE: MSE:Set AT", protocolOID+passwordRef, false, 0, 0)
	l.plain("PACE: nonce", object(0), true, object(object(aes)), 0)
	l.plain("PACE: mapping", object(object(size)), true, object(object(size)), 2)
	l.agreement(size, proof)
	l.out[len(l.out)-1].Steps = 1
	l.content("EF.CardSecurity", len(l.doc.ChipConfig().MasterFiles[chip.FileCardSecurity]))
}

// bac is basic access control (section 4.3), with the application selected
// first.
func (l *list) bac() {
	const challenge, sealed = 8, 40
	l.plain("SELECT application", len(chip.AID()), false, 0, 0)
	l.plain("BAC: GET CHALLENGE", 0, true, challenge, 0)
	l.plain("BAC: EXTERNAL AUTHENTICATE", sealed, true, sealed, 0)
	l.block = des
}

// application selects the eMRTD application after PACE.
func (l *list) application() {
	l.protected("SELECT application", false, len(chip.AID()), 0, 0, 0)
}

// chipAuth is chip authentication with AES and public values of size bytes
// (section 6.2.4.2). The first read after it proves the new session.
func (l *list) chipAuth(size int) {
	l.protected("CA: MSE:Set AT", false, protocolOID, 0, 0, 0)
	l.protected("CA: GENERAL AUTHENTICATE", false, object(object(size)), 256, object(0), 1)
	l.keys(l.model.ChipAuth)
}

// activeAuth is active authentication with an answer of n bytes (section 6.1).
func (l *list) activeAuth(n int) {
	l.protected("AA: INTERNAL AUTHENTICATE", false, 8, 256, n, 1)
}

// evenEnd is the first offset that P1-P2 of READ BINARY cannot hold (ICAO
// 9303-10 section 3.6.3.2).
const evenEnd = 0x8000

// file reads a whole file: its beginning by short identifier, which needs no
// selection, and the rest in as large pieces as go. Nobody knows how long a
// file is before its beginning was read, so that asks for a whole piece.
func (l *list) file(name string, id uint16) { l.content(name, len(l.doc.File(id))) }

func (l *list) content(name string, size int) {
	for at := 0; at < size; {
		n := min(l.chunk, size-at)
		if at < evenEnd {
			n = min(n, evenEnd-at)
			le := n
			if at == 0 {
				le = l.chunk
			}
			l.protected(name, false, 0, le, n, 0)
		} else {
			const offset = 2 + 2 // DO 54
			l.protected(name, true, offset, object(n), object(n), 0)
		}
		at += n
	}
}

func (l *list) groups(numbers ...int) {
	for _, n := range numbers {
		l.file(fmt.Sprintf("DG%d", n), chip.FileDG(n))
	}
}

func (l *list) securityObject() { l.file("EF.SOD", chip.FileSOD) }
