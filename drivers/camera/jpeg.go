package camera

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Markers of ITU-T T.81 Annex B, table B.1.
const (
	markSOI = 0xD8
	markEOI = 0xD9
	markSOS = 0xDA
	markDHT = 0xC4
	markDRI = 0xDD
)

// picture is what the head of a JPEG file says.
type picture struct {
	width, height int
	tables        bool // it brings its Huffman tables
	scan          int  // where its first scan begins
	end           int  // just behind its end marker
}

var errTorn = errors.New("a torn picture")

// readHead walks the segments of a JPEG file up to its first scan (ITU-T T.81
// section B.2) and finds its end; it decodes nothing.
func readHead(b []byte) (picture, error) {
	var p picture
	if len(b) < 4 || b[0] != 0xFF || b[1] != markSOI {
		return p, errors.New("not a JPEG file")
	}
	for at := 2; ; {
		for at < len(b) && b[at] == 0xFF && at+1 < len(b) && b[at+1] == 0xFF {
			at++ // fill bytes, section B.1.1.2
		}
		if at+4 > len(b) || b[at] != 0xFF {
			return p, errTorn
		}
		mark, size := b[at+1], int(binary.BigEndian.Uint16(b[at+2:]))
		body := at + 4
		next := at + 2 + size
		if size < 2 || next > len(b) {
			return p, errTorn
		}
		switch {
		case mark == markSOS:
			p.scan = at
			return p.finish(b, next)
		case mark == markDHT:
			p.tables = true
		case mark >= 0xC0 && mark <= 0xC2: // baseline, extended, progressive
			if size < 8 {
				return p, errTorn
			}
			p.height, p.width = int(binary.BigEndian.Uint16(b[body+1:])), int(binary.BigEndian.Uint16(b[body+3:]))
		case mark < 0xC0 || mark == markSOI || mark == markEOI:
			return p, errTorn
		}
		at = next
	}
}

func (p picture) finish(b []byte, from int) (picture, error) {
	if p.width < minSide || p.height < minSide || p.width > maxWide || p.height > maxHigh {
		return p, fmt.Errorf("a picture of %d×%d; between %d×%d and %d×%d is taken", p.width, p.height, minSide, minSide, maxWide, maxHigh)
	}
	i := bytes.LastIndex(b[from:], []byte{0xFF, markEOI}) // cameras pad behind it
	if i < 0 {
		return p, errTorn
	}
	p.end = from + i + 2
	return p, nil
}

// jpegFrame copies a JPEG picture out of b, which stays the caller's. Motion
// JPEG of many cameras leaves the Huffman tables out; they are put back.
func jpegFrame(b []byte) (Frame, error) {
	if len(b) > maxBytes {
		return Frame{}, fmt.Errorf("a picture of %d bytes; at most %d are taken", len(b), maxBytes)
	}
	p, err := readHead(b)
	if err != nil {
		return Frame{}, err
	}
	var tables []byte
	if !p.tables {
		tables = standardTables()
	}
	data := make([]byte, 0, p.end+len(tables))
	data = append(data, b[:p.scan]...)
	data = append(data, tables...)
	data = append(data, b[p.scan:p.end]...)
	return Frame{Width: p.width, Height: p.height, Format: JPEG, Data: data}, nil
}

// standardTables gives the segment with the typical Huffman tables of ITU-T
// T.81 Annex K.3, tables K.3 to K.6, which Motion JPEG takes for granted.
func standardTables() []byte {
	seg := []byte{0xFF, markDHT, 0, 0}
	for _, t := range []struct {
		id             byte
		counts, values string
	}{
		{0x00, dcLuminanceCounts, dcValues}, {0x01, dcChrominanceCounts, dcValues},
		{0x10, acLuminanceCounts, acLuminanceValues}, {0x11, acChrominanceCounts, acChrominanceValues},
	} {
		seg = append(seg, t.id)
		seg = append(seg, t.counts...)
		seg = append(seg, t.values...)
	}
	binary.BigEndian.PutUint16(seg[2:], uint16(len(seg)-2))
	return seg
}
