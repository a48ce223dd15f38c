package chip

import (
	"bytes"
	"slices"

	"gateagent/internal/ber"
)

// selectFile is SELECT (ISO/IEC 7816-4 section 7.1.1).
func (c *Chip) selectFile(cmd command) ([]byte, uint16) {
	if c.cfg.Quirks.NoLeOnSelect && cmd.le > 0 {
		return nil, swLength
	}
	switch cmd.p1 {
	case 0x04:
		return c.selectApplication(cmd)
	case 0x00:
		if len(cmd.data) == 0 || bytes.Equal(cmd.data, []byte{0x3F, 0x00}) {
			return c.selectMF()
		}
	case 0x02:
	case 0x08:
		c.state.app = false
	default:
		return nil, swBadP1P2
	}
	if len(cmd.data) != 2 {
		return nil, swLength
	}
	id := uint16(cmd.data[0])<<8 | uint16(cmd.data[1])
	raw, sw := c.find(id)
	if sw != swOK {
		return nil, sw
	}
	c.state.ef, c.state.hasEF = raw, true
	if cmd.p2&0x0C == 0 && cmd.le > 0 {
		return ber.Make(0x6F, ber.Make(0x80, []byte{byte(len(raw) >> 8), byte(len(raw))}), ber.Make(0x83, cmd.data)), swOK
	}
	return nil, swOK
}

func (c *Chip) selectMF() ([]byte, uint16) {
	if c.cfg.Quirks.NoSelectMF {
		return nil, swNoIns
	}
	c.state.app, c.state.hasEF = false, false
	return nil, swOK
}

func (c *Chip) selectApplication(cmd command) ([]byte, uint16) {
	if !bytes.Equal(cmd.data, c.cfg.AID) {
		return nil, swNotFound
	}
	c.state.app, c.state.opened, c.state.hasEF = true, true, false
	if cmd.p2&0x0C == 0 && cmd.le > 0 {
		return ber.Make(0x6F, ber.Make(0x84, c.cfg.AID)), swOK
	}
	return nil, swOK
}

// open says whether application files may be read at all.
func (c *Chip) open() bool {
	return c.state.access || !c.cfg.BAC && len(c.cfg.PACE) == 0
}

// find gives a file of the current folder under the access rules: what lies
// under the MF is free but for EF.CardSecurity, which like the rest needs PACE
// or BAC (ICAO 9303-10 section 3.11).
func (c *Chip) find(id uint16) ([]byte, uint16) {
	master := !c.state.app
	if c.cfg.Quirks.SelectAppFirst {
		if !c.state.opened {
			return nil, swNotFound
		}
		master = master || id == FileCardAccess
	}
	if master {
		raw, ok := c.cfg.MasterFiles[id]
		switch {
		case !ok:
			return nil, swNotFound
		case id == FileCardSecurity && !c.open():
			return nil, swDenied
		}
		return raw, swOK
	}
	if !c.open() || slices.Contains(c.cfg.Denied, id) {
		return nil, swDenied
	}
	raw, ok := c.cfg.Files[id]
	if !ok {
		return nil, swNotFound
	}
	return raw, swOK
}

// short maps a short identifier to a file of the current folder (ICAO
// 9303-10 table 38 and section 3.11).
func (c *Chip) short(sfi byte) uint16 {
	switch {
	case c.state.app:
		if sfi <= 0x10 || sfi == 0x1D || sfi == 0x1E {
			return 0x0100 | uint16(sfi)
		}
	case sfi == 0x01:
		return FileATRInfo
	case sfi == 0x1E:
		return FileDIR
	}
	return 0x0100 | uint16(sfi)
}

// current gives the file that a read is about, selecting it where P1 holds
// a short identifier.
func (c *Chip) current(sfi byte) ([]byte, uint16) {
	if sfi == 0 {
		if !c.state.hasEF {
			return nil, 0x6986
		}
		return c.state.ef, swOK
	}
	if c.cfg.Quirks.NoShortEF {
		return nil, swBadP1P2
	}
	raw, sw := c.find(c.short(sfi))
	if sw == swOK {
		c.state.ef, c.state.hasEF = raw, true
	}
	return raw, sw
}

// readEven is READ BINARY with instruction B0 (ISO/IEC 7816-4 section
// 7.2.3).
func (c *Chip) readEven(cmd command) ([]byte, uint16) {
	sfi, offset := byte(0), int(cmd.p1)<<8|int(cmd.p2)
	if cmd.p1&0x80 != 0 {
		if cmd.p1&0x60 != 0 {
			return nil, swBadP1P2
		}
		sfi, offset = cmd.p1&0x1F, int(cmd.p2)
	}
	raw, sw := c.current(sfi)
	if sw != swOK {
		return nil, sw
	}
	return c.slice(raw, offset, cmd, 0)
}

// readOdd is READ BINARY with instruction B1: the offset comes in DO 54, the
// data go out in DO 53.
func (c *Chip) readOdd(cmd command) ([]byte, uint16) {
	if c.cfg.Quirks.NoOddRead {
		return nil, swNoIns
	}
	value, err := ber.Expect(cmd.data, 0x54)
	if err != nil || len(value) == 0 || len(value) > 4 {
		return nil, swBadData
	}
	offset := 0
	for _, b := range value {
		offset = offset<<8 | int(b)
	}
	var raw []byte
	sw := uint16(swOK)
	if id := uint16(cmd.p1)<<8 | uint16(cmd.p2); id > 0x1F {
		if raw, sw = c.find(id); sw == swOK {
			c.state.ef, c.state.hasEF = raw, true
		}
	} else {
		raw, sw = c.current(cmd.p2)
	}
	if sw != swOK {
		return nil, sw
	}
	// Le counts the frame of DO 53 as well.
	header := 2
	if cmd.le > 2+0x7F {
		header++
	}
	if cmd.le > 3+0xFF {
		header++
	}
	data, sw := c.slice(raw, offset, cmd, header)
	if sw != swOK && sw != swEndOfFile {
		return nil, sw
	}
	return ber.Make(0x53, data), sw
}

// slice cuts what was asked for: at most Le, the chip's own bound and what
// the answer has room for.
func (c *Chip) slice(raw []byte, offset int, cmd command, header int) ([]byte, uint16) {
	n := cmd.le - header
	if n <= 0 {
		return nil, swLength
	}
	if offset > len(raw) || offset == len(raw) && offset > 0 {
		return nil, swBadOffset
	}
	if limit := c.cfg.Quirks.MaxRead; limit > 0 && n > limit {
		if sw := c.cfg.Quirks.TooLongStatus; sw != 0 {
			if sw == 0x6C00 {
				sw |= uint16(min(limit+header, 255))
			}
			return nil, sw
		}
		n = limit
	}
	if s := c.state.session; s != nil && !cmd.extended {
		n = min(n, s.room(256)-header)
	}
	if n > len(raw)-offset {
		sw := uint16(swEndOfFile)
		if cmd.le == 256 || cmd.le == 1<<16 {
			sw = swOK // an Le of zero asks for whatever there is
		}
		return raw[offset:], sw
	}
	return raw[offset : offset+n], swOK
}

// refusedUnopened plays the chip that looks at the length of a protected
// read before it looks at its protection, and answers in plain.
func (c *Chip) refusedUnopened(cmd command) uint16 {
	q := c.cfg.Quirks
	if !q.TooLongPlain && !q.TooLongLoses || q.MaxRead == 0 || cmd.ins&^1 != 0xB0 {
		return 0
	}
	le, ok := ber.Find(cmd.data, 0x97)
	if !ok || protectedLe(le.Value) <= q.MaxRead {
		return 0
	}
	if q.TooLongLoses {
		c.state.session, c.state.access = nil, false
	}
	return swLength
}
