package chip

import (
	"context"
	"slices"

	"gateagent/gate"
	"gateagent/internal/ber"
)

// way is how EF.CardAccess is reached.
type way byte

const (
	wayUnknown     way = iota
	wayShort           // READ BINARY by its short identifier, at once
	waySelect          // SELECT, at once
	wayMaster          // SELECT after the master file
	wayApplication     // SELECT after the application
	wayMissing         // none: the chip has no such file
)

// ways lists the ways to try, in order. Whatever was found before, all that can
// lead to the file are tried: that a chip has none decides for BAC. Where the
// last chip of the type had none, those come first that answer for others.
func ways(before way) []way {
	switch before {
	case wayMissing:
		return []way{wayMaster, waySelect, wayApplication}
	case wayUnknown, wayShort:
		return []way{wayShort, waySelect, wayMaster, wayApplication}
	}
	order := []way{before}
	for _, w := range []way{waySelect, wayMaster, wayApplication} {
		if w != before {
			order = append(order, w)
		}
	}
	return order
}

// cardAccess finds and reads EF.CardAccess; nil when the chip has none. Most
// chips read it at once, some want the master file selected first (and others
// refuse just that with 6D00), some the application.
func (s *Session) cardAccess(ctx context.Context) ([]byte, error) {
	byReset := kindOf(s.atr())
	known := s.opts.Memory.recall(byReset)
	s.apply(known)
	raw, found, err := s.findCardAccess(ctx, known.way)
	if err != nil {
		return raw, err
	}
	s.opts.Memory.keep(byReset, traits{way: found, plain: s.reads.plain, extended: s.reads.extended, short: s.reads.shortOnly})
	s.kind = kindOf(s.atr(), raw)
	if known = s.opts.Memory.recall(s.kind); known.chunk > 0 {
		s.apply(known)
		return raw, nil
	}
	return raw, s.statedLength(ctx, found)
}

// atr is the answer to reset, where the transmitter knows it.
func (s *Session) atr() []byte {
	if t, ok := s.t.(interface{ ATR() []byte }); ok {
		return t.ATR()
	}
	return nil
}

func (s *Session) findCardAccess(ctx context.Context, before way) ([]byte, way, error) {
	master := false
	for _, w := range ways(before) {
		var sw uint16 = swOK
		switch w {
		case waySelect:
			if master && before == wayMissing {
				continue // the master file itself has just been asked
			}
		case wayMaster:
			r, err := s.plain(ctx, stepCardAccess, selectMaster())
			if err != nil {
				return nil, 0, err
			}
			sw, master = r.sw, r.ok()
		case wayApplication:
			if err := s.enterPlain(ctx); err != nil {
				return nil, 0, err
			}
		}
		if w == wayMaster && sw != swOK && before == wayMissing {
			continue // waySelect comes next and asks the same
		}
		p1 := byte(0)
		if w == wayShort {
			p1 = 0x80 | files[gate.FileCardAccess].short
		} else {
			r, err := s.plain(ctx, stepCardAccess, selectFile(files[gate.FileCardAccess].id))
			if err != nil {
				return nil, 0, err
			}
			if !r.ok() {
				continue
			}
		}
		if raw, err := s.readPlain(ctx, p1); raw != nil || err != nil {
			return raw, w, err
		}
	}
	return nil, wayMissing, nil
}

// readPlain reads EF.CardAccess, by short identifier with p1 or else as it is
// selected; nil when the chip refuses. It asks for more than the file has, in
// extended length: so it learns, before any session could be lost by it,
// whether the chip knows extended length and bears reads past the end.
func (s *Session) readPlain(ctx context.Context, p1 byte) ([]byte, error) {
	var r response
	for _, ne := range s.plainSizes() {
		var err error
		if r, err = s.readPlainAt(ctx, command{ins: insReadBinary, p1: p1, ne: ne}); err != nil {
			return nil, err
		}
		if len(r.data) > 0 {
			s.reads.extended = s.reads.extended || ne > maxShortNe
			if s.reads.plain = ne; len(r.data) <= mostCardAccess {
				s.reads.plain = mostCardAccess
			}
			break
		}
		switch {
		case p1 != 0 && !lengthRefused(r.sw):
			return nil, nil
		case ne > rungPlain:
			s.reads.chunk = min(s.reads.chunk, rungPlain)
		case ne > maxShortNe:
			s.reads.noExtended()
		}
	}
	if len(r.data) == 0 {
		return nil, nil
	}
	_, header, length, err := ber.Header(r.data)
	if err != nil {
		return nil, fault(gate.ChipNonsense, gate.CodeChipNonsense, stepCardAccess, 0, err)
	}
	total := header + length
	if total > files[gate.FileCardAccess].limit {
		return nil, fault(gate.ChipNonsense, gate.CodeTooLarge, stepCardAccess, 0, nil)
	}
	raw := r.data
	for range total { // every read brings at least one byte
		if len(raw) >= total {
			break
		}
		at := len(raw)
		r, err := s.readPlainAt(ctx, command{ins: insReadBinary, p1: byte(at >> 8), p2: byte(at), ne: min(total-at, maxShortNe)})
		if err != nil {
			return nil, err
		}
		if len(r.data) == 0 {
			return nil, nonsense(stepCardAccess, "%d bytes where %d are declared", len(raw), total)
		}
		raw = append(raw, r.data...)
	}
	return raw[:total], nil
}

const (
	// rungPlain is what a chip that refuses DefaultMaxRead is asked for
	// next: many have a buffer of little more.
	rungPlain = 1024
	// mostCardAccess holds EF.CardAccess of most documents.
	mostCardAccess = 128
)

// plainSizes are the lengths to try on EF.CardAccess: what has worked with
// the type, else from the longest on.
func (s *Session) plainSizes() []int {
	sizes := []int{maxShortNe, mostCardAccess, headerNe}
	if largest := min(s.opts.MaxRead, DefaultMaxRead); largest > maxShortNe && !s.reads.shortOnly {
		if largest > rungPlain {
			sizes = append([]int{rungPlain}, sizes...)
		}
		sizes = append([]int{largest}, sizes...)
	}
	if i := slices.Index(sizes, s.reads.plain); i > 0 {
		sizes = sizes[i:]
	}
	return sizes
}

// readPlainAt gives empty data when the chip refuses.
func (s *Session) readPlainAt(ctx context.Context, c command) (response, error) {
	r, err := s.plain(ctx, stepCardAccess, c)
	if err != nil {
		return r, err
	}
	if !r.ok() && r.sw != swEndOf {
		return response{sw: r.sw}, nil
	}
	if len(r.data) > c.ne {
		return r, nonsense(stepCardAccess, "%d bytes where %d were asked for", len(r.data), c.ne)
	}
	return r, nil
}

// statedLength asks EF.ATR/INFO how long an answer may be (ISO/IEC 7816-4
// section 12.7.1, DO 7F66; ICAO 9303-10 section 3.11.1), by its short
// identifier, where the master file is at hand and extended length is known to
// work. It is asked once for each type of chip.
func (s *Session) statedLength(ctx context.Context, found way) error {
	if !s.reads.extended || found == wayApplication || found == wayMissing || s.opts.MaxRead <= maxShortNe {
		return nil
	}
	c := command{ins: insReadBinary, p1: 0x80 | files[gate.FileATRInfo].short, ne: maxShortNe}
	r, err := s.plain(ctx, stepATRInfo, c)
	if err != nil {
		return err
	}
	if !r.readable() {
		return nil
	}
	switch n := answerLimit(r.data); {
	case n == 0:
	case n < frameRoom+leastStated:
		s.reads.noExtended()
	default:
		s.reads.chunk = min(n-frameRoom, s.opts.MaxRead)
	}
	return nil
}

const (
	stepATRInfo = "EF.ATR/INFO"
	// frameRoom is left between what a chip states and what is asked of it:
	// secure messaging adds some 40 bytes, and whether chips count them
	// differs.
	frameRoom = 256
	// leastStated: what states less gives answers of short length.
	leastStated = 192
)

// answerLimit finds the second integer of DO 7F66, the longest answer; 0 when
// there is none. The file is a string of data objects and not proven by
// anything: a wrong one costs time.
func answerLimit(raw []byte) int {
	for len(raw) > 0 {
		t, rest, err := ber.Next(raw)
		if err != nil {
			return 0
		}
		raw = rest
		if t.Tag != 0x7F66 {
			continue
		}
		sizes, err := ber.Children(t.Value)
		if err != nil || len(sizes) != 2 || sizes[1].Tag != ber.Integer {
			return 0
		}
		n, ok := smallInt(sizes[1])
		if !ok || n < 0 {
			return 0
		}
		return min(n, maxNe)
	}
	return 0
}
