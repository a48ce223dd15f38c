package chip

import (
	"context"

	"gateagent/gate"
)

// Instruction bytes (ISO/IEC 7816-4 table 4.2).
const (
	insMSE                 = 0x22
	insExternalAuth        = 0x82
	insGetChallenge        = 0x84
	insGeneralAuthenticate = 0x86
	insInternalAuth        = 0x88
	insSelect              = 0xA4
	insReadBinary          = 0xB0
	insReadBinaryOdd       = 0xB1
	insGetResponse         = 0xC0
)

const (
	swOK       = 0x9000
	swEndOf    = 0x6282 // end of file reached before Ne bytes
	maxShortNe = 256
	maxNe      = 65536
)

// command is one command APDU (ISO/IEC 7816-4 section 5.2). Ne 0 means that
// no Le field is sent: some chips refuse one with SELECT and MSE.
type command struct {
	cla, ins, p1, p2 byte
	data             []byte
	ne               int
	short            bool // under secure messaging, never extended length
}

func (c command) extended() bool { return len(c.data) > 255 || c.ne > maxShortNe }

// encode gives the bytes, in extended form where the lengths or the caller
// ask for it.
func (c command) encode(extended bool) []byte {
	extended = extended || c.extended()
	b := append(make([]byte, 0, len(c.data)+10), c.cla, c.ins, c.p1, c.p2)
	if !extended {
		if len(c.data) > 0 {
			b = append(append(b, byte(len(c.data))), c.data...)
		}
		if c.ne > 0 {
			b = append(b, byte(c.ne)) // 256 is 00
		}
		return b
	}
	b = append(b, 0)
	if len(c.data) > 0 {
		b = append(append(b, byte(len(c.data)>>8), byte(len(c.data))), c.data...)
	}
	if c.ne > 0 {
		b = append(b, byte(c.ne>>8), byte(c.ne)) // 65536 is 0000
	}
	return b
}

// response is what came back: data and status word.
type response struct {
	data []byte
	sw   uint16
}

func (r response) ok() bool { return r.sw == swOK }

// Bounds of one answer: what an extended Le can bring with secure messaging
// around it, and how many pieces it may come in.
const (
	maxAnswer = maxNe + 256
	maxPieces = 512
)

// transmit sends raw bytes and collects an answer that comes in pieces (61xx,
// ISO/IEC 7816-4 section 5.3.4).
func (s *Session) transmit(ctx context.Context, step string, apdu []byte) (response, error) {
	r, err := s.once(ctx, step, apdu)
	if err != nil || r.sw>>8 != 0x61 {
		return r, err
	}
	whole := r.data
	for range maxPieces {
		ne := int(r.sw & 0xFF)
		if ne == 0 {
			ne = maxShortNe
		}
		get := command{ins: insGetResponse, ne: ne}
		if r, err = s.once(ctx, step, get.encode(false)); err != nil {
			return response{}, err
		}
		if r.sw>>8 == 0x6C && r.sw&0xFF != 0 {
			get.ne = int(r.sw & 0xFF)
			if r, err = s.once(ctx, step, get.encode(false)); err != nil {
				return response{}, err
			}
		}
		whole = append(whole, r.data...)
		switch {
		case len(whole) > maxAnswer:
			return response{}, s.die(nonsense(step, "an answer of more than %d bytes", maxAnswer))
		case r.sw>>8 != 0x61:
			return response{data: whole, sw: r.sw}, nil
		case len(r.data) == 0:
			return response{}, s.die(nonsense(step, "GET RESPONSE brings nothing and promises more"))
		}
	}
	return response{}, s.die(nonsense(step, "an answer in more than %d pieces", maxPieces))
}

// once sends one APDU. An error ends the session: whether the chip counted
// the command is unknown.
func (s *Session) once(ctx context.Context, step string, apdu []byte) (response, error) {
	if err := s.alive(step); err != nil {
		return response{}, err
	}
	if err := ctx.Err(); err != nil {
		return response{}, s.die(deviceFault(ctx, step, err))
	}
	s.stats.APDUs++
	s.stats.BytesOut += len(apdu)
	b, err := s.t.Transmit(ctx, apdu)
	if err != nil {
		return response{}, s.die(deviceFault(ctx, step, err))
	}
	s.stats.BytesIn += len(b)
	if len(b) < 2 || len(b) > maxAnswer+2 {
		return response{}, s.die(nonsense(step, "an answer of %d bytes", len(b)))
	}
	n := len(b) - 2
	return response{data: b[:n:n], sw: uint16(b[n])<<8 | uint16(b[n+1])}, nil
}

// plain sends a command without secure messaging. A chip that wants another
// Le (6Cxx) gets it once.
func (s *Session) plain(ctx context.Context, step string, c command) (response, error) {
	r, err := s.transmit(ctx, step, c.encode(false))
	if err == nil && r.sw>>8 == 0x6C && r.sw&0xFF != 0 && c.ne > 0 {
		c.ne = int(r.sw & 0xFF)
		r, err = s.transmit(ctx, step, c.encode(false))
	}
	return r, err
}

// protected sends a command under secure messaging and opens the answer. An
// answer without protection ends the session, except 6700 and 6Cxx, and 6Fxx
// to a read: there lost is true and the caller may try to go on (see ranged).
func (s *Session) protected(ctx context.Context, step string, c command) (r response, lost bool, err error) {
	if err := s.alive(step); err != nil {
		return response{}, false, err
	}
	if s.sm == nil {
		return response{}, false, fault(gate.ChipNonsense, gate.CodeSecureMessaging, step, 0, errNotOpened)
	}
	apdu := s.sm.protect(c)
	if s.reads.then != nil {
		s.sm.prepare(*s.reads.then)
		s.reads.then = nil
	}
	r, err = s.transmit(ctx, step, apdu)
	if err != nil {
		return response{}, false, err
	}
	if len(r.data) == 0 {
		if lengthRefused(r.sw) || stumbles(r.sw) && c.reads() {
			return r, true, nil
		}
		return response{}, false, s.die(fault(gate.ChipNonsense, gate.CodeSecureMessaging, step, r.sw, errUnprotected))
	}
	open, err := s.sm.unwrap(r)
	if err != nil {
		return response{}, false, s.die(fault(gate.ChipNonsense, gate.CodeSecureMessaging, step, 0, err))
	}
	return open, false, nil
}

// must is protected for commands that no length can have broken.
func (s *Session) must(ctx context.Context, step string, c command) (response, error) {
	r, lost, err := s.protected(ctx, step, c)
	if err == nil && lost {
		err = s.die(fault(gate.ChipNonsense, gate.CodeSecureMessaging, step, r.sw, errUnprotected))
	}
	return r, err
}

// stumbles: the chip has a problem of its own (6Fxx, ISO/IEC 7816-4 table 5: no
// precise diagnosis), as when its field was weak for a moment.
func stumbles(sw uint16) bool { return sw>>8 == 0x6F }

// reads says whether the command reads a file.
func (c command) reads() bool { return c.ins|1 == insReadBinaryOdd }

// lengthRefused: the chip does not like Le (6700) or wants another (6Cxx).
func lengthRefused(sw uint16) bool { return sw == 0x6700 || sw>>8 == 0x6C }
