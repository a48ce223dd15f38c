package picture

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Markers of a codestream (ITU-T T.800 table A.2).
const (
	markCOD = 0xFF52
	markCOC = 0xFF53
	markQCD = 0xFF5C
	markCRG = 0xFF63
	markCOM = 0xFF64
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

// coding is what the headers of a codestream say about how it is coded.
type coding struct {
	siz
	style int // where the body of the main header's COD begins, 0 without
	// plain says that there is nothing but a coding style and a quantisation
	// for all components and tiles.
	plain bool
}

// readCoding walks through the headers of a codestream and holds every coding
// style in it against ITU-T T.800 tables A.13 to A.21, so that a decoder never
// meets block sizes that are none.
func readCoding(code []byte, s siz) (coding, error) {
	c := coding{siz: s, plain: s.tiles == 1}
	at, parts := 4+int(binary.BigEndian.Uint16(code[4:])), 0 // behind SOC and SIZ
	for {
		if len(code) >= at+2 && binary.BigEndian.Uint16(code[at:]) == markEOC {
			return c, nil
		}
		mark, body, err := segment(code, at, len(code))
		if err != nil {
			return c, err
		}
		if mark == markSOT {
			if parts++; parts > maxParts {
				return c, fmt.Errorf("%w: more than %d parts of tiles", ErrHuge, maxParts)
			}
			if at, err = c.tilePart(code, at); err != nil || at == len(code) {
				return c, err
			}
			continue
		}
		if err := c.header(mark, body, at+4); err != nil {
			return c, err
		}
		at += 4 + len(body)
	}
}

// segment gives the marker and the body of a marker segment that must end
// before end.
func segment(code []byte, at, end int) (mark int, body []byte, err error) {
	if end < at+4 {
		return 0, nil, fmt.Errorf("%w: a header ends", ErrTorn)
	}
	mark, length := int(binary.BigEndian.Uint16(code[at:])), int(binary.BigEndian.Uint16(code[at+2:]))
	if length < 2 || at+2+length > end {
		return 0, nil, fmt.Errorf("%w: marker %X ends too late", ErrTorn, mark)
	}
	return mark, code[at+4 : at+2+length], nil
}

// header takes one segment of a header into account.
func (c *coding) header(mark int, body []byte, at int) error {
	switch mark {
	case markCOD:
		c.plain = c.plain && c.style == 0
		c.style = at
		return c.checkCOD(body)
	case markCOC:
		c.plain = false
		return c.checkCOC(body)
	case markQCD, markCRG, markCOM:
	default:
		c.plain = false
	}
	return nil
}

// tilePart checks the headers of one part of a tile and gives where the next
// one begins.
func (c *coding) tilePart(code []byte, start int) (next int, err error) {
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
		if end >= at+2 && binary.BigEndian.Uint16(code[at:]) == markSOD {
			return end, nil
		}
		mark, body, err := segment(code, at, end)
		if err != nil {
			return 0, err
		}
		if mark != markCOM {
			c.plain = false
		}
		if mark == markCOD || mark == markCOC {
			if err := c.header(mark, body, at+4); err != nil {
				return 0, err
			}
		}
		at += 4 + len(body)
	}
}

// smaller gives the codestream of the same picture at half the size, a
// quarter, and so on, as long as both sides keep enough pixels: the finest
// resolutions are left out (ITU-T T.800 section B.5), which costs a fraction
// of the time of all of them. It works where their packets come last; another
// codestream is given back as it is.
func (c *coding) smaller(code []byte, enough int) ([]byte, siz) {
	s := c.siz
	if !c.plain || c.style == 0 || enough <= 0 {
		return code, s
	}
	progression, layers, levels := code[c.style+1], binary.BigEndian.Uint16(code[c.style+2:]), int(code[c.style+5])
	const layerFirst, resolutionLayer, resolutionPosition = 0, 1, 2
	last := progression == resolutionLayer || progression == resolutionPosition || progression == layerFirst && layers == 1
	drop := 0
	for last && drop < levels && min(s.width, s.height) >= 2*enough {
		drop++
		s.width, s.height = (s.width+1)/2, (s.height+1)/2
	}
	if drop == 0 {
		return code, s
	}
	out := bytes.Clone(code)
	for i, v := range [8]int{s.width, s.height, 0, 0, s.width, s.height, 0, 0} {
		binary.BigEndian.PutUint32(out[8+4*i:], uint32(v))
	}
	out[c.style+5] = byte(levels - drop)
	return out, s
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
