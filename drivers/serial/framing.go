package serial

import (
	"bytes"
	"fmt"
	"time"
)

// Framing is how a device marks where one message ends. The zero value is
// refused, so that a configuration has to say it.
type Framing string

// Framing profiles.
const (
	// FrameCR, FrameLF and FrameCRLF end a message with that terminator
	// (hand-held scanners; Honeywell and Zebra default to CR LF or CR).
	FrameCR   Framing = "cr"
	FrameLF   Framing = "lf"
	FrameCRLF Framing = "crlf"
	// FrameLine ends a message with CR, LF or both. Not for readers that
	// send the lines of a machine readable zone one by one.
	FrameLine Framing = "line"
	// FrameSTX is STX content ETX (document readers: STX l1 CR l2 CR ETX).
	FrameSTX Framing = "stx_etx"
	// FrameSOH is SOH length "OU" STX flag l1 CR l2 CR l3 CR ETX BCC: the
	// "RTE Native" blocks of 3M's OEM document readers (RTE6701-OEM
	// integration manual, 9.1). Only the lines are delivered. The BCC is
	// swallowed: the zone has check digits of its own.
	FrameSOH Framing = "soh_mrz"
	// FrameIdle ends a message when nothing follows for IdleGap.
	FrameIdle Framing = "idle"
	// FrameRaw delivers what arrives as it arrives, for devices whose
	// driver knows the length of every answer.
	FrameRaw Framing = "raw"
)

// Control characters of the profiles.
const (
	soh = 0x01
	stx = 0x02
	etx = 0x03
	cr  = '\r'
	lf  = '\n'
	// sohHeader bounds the header between SOH and STX: length (two bytes in
	// the manual), device byte, type byte.
	sohHeader = 4
)

func (f Framing) check() error {
	switch f {
	case FrameCR, FrameLF, FrameCRLF, FrameLine, FrameSTX, FrameSOH, FrameIdle, FrameRaw:
		return nil
	}
	return fmt.Errorf("framing %q is unknown: use one of cr, lf, crlf, line, stx_etx, soh_mrz, idle, raw", string(f))
}

// defaultGap is how long a message may pause: for FrameIdle the pause ends
// it, for the others a longer one means that its end was lost.
func (f Framing) defaultGap() time.Duration {
	if f == FrameIdle {
		return 100 * time.Millisecond
	}
	return time.Second
}

// splitter cuts the stream of one connection into frames. It holds at most
// max bytes, wipes them when they are handed over or dropped, and finds the
// next frame again after garbage.
type splitter struct {
	framing Framing
	max     int
	emit    func([]byte)     // takes a copy that the receiver owns
	drop    func(why string) // something was thrown away

	buf    []byte // capacity max, never grows
	inside bool   // FrameSTX, FrameSOH: after STX
	header int    // FrameSOH: bytes since SOH, 0 outside a header
	bcc    bool   // FrameSOH: the next byte is the block check
	skip   bool   // overlong: dropping until the next boundary
}

func newSplitter(f Framing, max int, emit func([]byte), drop func(string)) *splitter {
	return &splitter{framing: f, max: max, emit: emit, drop: drop, buf: make([]byte, 0, max)}
}

// feed takes the next bytes of the stream.
func (s *splitter) feed(chunk []byte) {
	for _, c := range chunk {
		switch s.framing {
		case FrameSTX:
			s.block(c)
		case FrameSOH:
			s.reader(c)
		case FrameIdle, FrameRaw:
			s.add(c)
		default:
			s.terminated(c)
		}
	}
	if s.framing == FrameRaw {
		s.finish()
	}
}

// idle is called when nothing has come for the gap.
func (s *splitter) idle() {
	if s.framing == FrameIdle {
		s.finish()
		return
	}
	if len(s.buf) > 0 {
		s.drop("its end did not come")
	}
	s.reset()
}

// pending says whether a gap matters now.
func (s *splitter) pending() bool {
	return len(s.buf) > 0 || s.skip || s.inside || s.header > 0 || s.bcc
}

func (s *splitter) terminated(c byte) {
	switch {
	case s.framing == FrameCRLF && c == lf && (s.skip || bytes.HasSuffix(s.buf, []byte{cr})):
		if !s.skip {
			s.buf = s.buf[:len(s.buf)-1]
		}
		s.finish()
	case s.framing == FrameCR && c == cr, s.framing == FrameLF && c == lf,
		s.framing == FrameLine && (c == cr || c == lf):
		s.finish()
	default:
		s.add(c)
	}
}

func (s *splitter) block(c byte) {
	switch {
	case c == stx:
		if s.inside && len(s.buf) > 0 {
			s.drop("a new message began inside it")
		}
		s.reset()
		s.inside = true
	case !s.inside: // noise between messages
	case c == etx:
		s.finish()
	default:
		s.add(c)
	}
}

func (s *splitter) reader(c byte) {
	switch {
	case s.bcc:
		s.bcc = false
	case s.inside && c == etx:
		if len(s.buf) > 0 && !s.skip { // the flag byte is the reader's own
			copy(s.buf, s.buf[1:])
			s.buf = s.buf[:len(s.buf)-1]
		}
		s.finish()
		s.bcc = true
	case s.inside:
		s.add(c)
	case s.header > sohHeader || s.header > 0 && c == stx:
		s.inside, s.header = c == stx, 0
	case s.header > 0:
		s.header++
	case c == soh:
		s.header = 1
	}
}

func (s *splitter) add(c byte) {
	switch {
	case s.skip:
	case len(s.buf) == s.max && s.framing == FrameRaw:
		s.finish()
		s.add(c)
	case len(s.buf) == s.max:
		s.drop("it is longer than a message may be")
		s.reset()
		s.skip = true
	default:
		s.buf = append(s.buf, c)
	}
}

// finish hands the frame over; an empty one and the rest of an overlong one
// are nothing.
func (s *splitter) finish() {
	if len(s.buf) > 0 && !s.skip {
		s.emit(bytes.Clone(s.buf))
	}
	s.reset()
}

func (s *splitter) reset() {
	clear(s.buf[:cap(s.buf)])
	s.buf, s.inside, s.header, s.bcc, s.skip = s.buf[:0], false, 0, false, false
}
