package picture

import (
	"encoding/binary"
	"fmt"
)

// Markers of a codestream (ITU-T T.800 table A.2).
const (
	markCOD = 0xFF52
	markCOC = 0xFF53
	markSOT = 0xFF90
	markSOD = 0xFF93
	markEOC = 0xFFD9
)

// Bounds of how a portrait is coded. Encoders use 5 or 6 levels and a dozen
// layers; a decoder's time grows with the number of packets.
const (
	maxLevels  = 10
	maxPackets = 100_000
	maxParts   = 256
)

// checkCoding walks through the headers of a codestream and holds every
// coding style in it against ITU-T T.800 tables A.13 to A.21, so that a
// decoder never meets block sizes that are none.
func checkCoding(code []byte, s siz) error {
	at, parts := 2, 0 // behind SOC
	for {
		if len(code) >= at+2 && binary.BigEndian.Uint16(code[at:]) == markEOC {
			return nil
		}
		if len(code) < at+4 {
			return fmt.Errorf("%w: a header ends", ErrTorn)
		}
		mark, length := int(binary.BigEndian.Uint16(code[at:])), int(binary.BigEndian.Uint16(code[at+2:]))
		if length < 2 || at+2+length > len(code) {
			return fmt.Errorf("%w: marker %X ends beyond the codestream", ErrTorn, mark)
		}
		body := code[at+4 : at+2+length]
		var err error
		switch mark {
		case markCOD:
			err = s.checkCOD(body)
		case markCOC:
			err = s.checkCOC(body)
		case markSOT:
			if parts++; parts > maxParts {
				return fmt.Errorf("%w: more than %d parts of tiles", ErrHuge, maxParts)
			}
			at, err = checkTilePart(code, at, s)
			if err != nil || at == len(code) {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		at += 2 + length
	}
}

// checkTilePart checks the headers of one part of a tile and gives where the
// next one begins.
func checkTilePart(code []byte, start int, s siz) (next int, err error) {
	if len(code) < start+12 {
		return 0, fmt.Errorf("%w: the header of a tile ends", ErrTorn)
	}
	size := int(binary.BigEndian.Uint32(code[start+6:]))
	end := start + size
	if size == 0 { // up to the end of the codestream
		end = len(code)
	}
	if end > len(code) || size != 0 && size < 14 {
		return 0, fmt.Errorf("%w: a tile of %d bytes where %d are left", ErrTorn, size, len(code)-start)
	}
	for at := start + 12; ; {
		if end < at+2 {
			return 0, fmt.Errorf("%w: a tile has no data", ErrTorn)
		}
		mark := int(binary.BigEndian.Uint16(code[at:]))
		if mark == markSOD {
			return end, nil
		}
		if end < at+4 {
			return 0, fmt.Errorf("%w: a tile has no data", ErrTorn)
		}
		length := int(binary.BigEndian.Uint16(code[at+2:]))
		if length < 2 || at+2+length > end {
			return 0, fmt.Errorf("%w: marker %X ends beyond its tile", ErrTorn, mark)
		}
		body := code[at+4 : at+2+length]
		switch mark {
		case markCOD:
			err = s.checkCOD(body)
		case markCOC:
			err = s.checkCOC(body)
		}
		if err != nil {
			return 0, err
		}
		at += 2 + length
	}
}

// checkCOD judges a default coding style, section A.6.1.
func (s siz) checkCOD(b []byte) error {
	if len(b) < 10 {
		return fmt.Errorf("%w: a coding style of %d bytes", ErrTorn, len(b))
	}
	if b[1] > 4 || b[4] > 1 {
		return fmt.Errorf("%w: progression %d, transform of components %d", ErrTorn, b[1], b[4])
	}
	return s.checkStyle(b[5:], b[0]&1 != 0, int(binary.BigEndian.Uint16(b[2:])))
}

// checkCOC judges the coding style of one component, section A.6.2.
func (s siz) checkCOC(b []byte) error {
	if len(b) < 7 {
		return fmt.Errorf("%w: a coding style of %d bytes", ErrTorn, len(b))
	}
	if int(b[0]) >= len(s.depths) {
		return fmt.Errorf("%w: there is no component %d", ErrTorn, b[0])
	}
	return s.checkStyle(b[2:], b[1]&1 != 0, 1)
}

// checkStyle judges the part that both have: levels, size of code blocks,
// their style, the wavelet, and the sizes of precincts where they are given.
func (s siz) checkStyle(b []byte, precincts bool, layers int) error {
	levels, across, down := int(b[0]), int(b[1]), int(b[2])
	switch {
	case levels > maxLevels:
		return fmt.Errorf("%w: %d levels, at most %d", ErrHuge, levels, maxLevels)
	case across > 8 || down > 8 || across+down > 8:
		return fmt.Errorf("%w: code blocks of 2^%d×2^%d", ErrTorn, across+2, down+2)
	case b[3] > 0x3F || b[4] > 1:
		return fmt.Errorf("%w: block style %#x, wavelet %d", ErrTorn, b[3], b[4])
	case layers == 0:
		return fmt.Errorf("%w: no layer", ErrTorn)
	case precincts && len(b) < 5+levels+1:
		return fmt.Errorf("%w: sizes of precincts are missing", ErrTorn)
	}
	packets := 0
	for r := 0; r <= levels; r++ {
		x, y := 15, 15 // the largest, which is meant where none is given
		if precincts {
			x, y = int(b[5+r]&0xF), int(b[5+r]>>4)
		}
		shrink := levels - r
		packets += ((s.width>>shrink)>>x + 2) * ((s.height>>shrink)>>y + 2)
	}
	if packets *= layers * len(s.depths) * s.tiles; packets > maxPackets {
		return fmt.Errorf("%w: %d packets, at most %d", ErrHuge, packets, maxPackets)
	}
	return nil
}
