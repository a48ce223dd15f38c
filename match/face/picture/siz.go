package picture

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// jp2Signature is the signature box of a JP2 file (ITU-T T.800 section I.5.1).
func jp2Signature() []byte { return []byte("\x00\x00\x00\x0cjP  \r\n\x87\n") }

// siz is what the SIZ marker segment promises (ITU-T T.800 section A.5.1).
type siz struct {
	width, height int
	tiles         int
	depths        []int
	subsampled    bool
}

// maxTiles: a portrait has one tile; a decoder keeps state for each.
const maxTiles = 64

func (s siz) check(l Limits) error {
	if err := l.check(s.width, s.height); err != nil {
		return err
	}
	if s.tiles > maxTiles {
		return fmt.Errorf("%w: %d tiles, at most %d", ErrHuge, s.tiles, maxTiles)
	}
	if n := len(s.depths); n != 1 && n != 3 && n != 4 {
		return fmt.Errorf("%w: %d components", ErrFormat, n)
	}
	for _, d := range s.depths {
		if d != 8 {
			return fmt.Errorf("%w: %d bits", ErrDepth, d)
		}
	}
	return nil
}

// readSIZ reads the SIZ segment at the beginning of a codestream.
func readSIZ(code []byte) (siz, error) {
	// Encoders may leave zeros behind the end marker, section A.4.4.
	if !bytes.HasSuffix(bytes.TrimRight(code, "\x00"), []byte{0xFF, 0xD9}) {
		return siz{}, fmt.Errorf("%w: the codestream does not end", ErrTorn)
	}
	const fixed = 2 + 2 + 2 + 2 + 8*4 + 2 // SOC, SIZ, length, capabilities, eight sizes, components
	if len(code) < fixed || code[0] != 0xFF || code[1] != 0x4F || code[2] != 0xFF || code[3] != 0x51 {
		return siz{}, fmt.Errorf("%w: the codestream does not begin with its size", ErrTorn)
	}
	var v [8]int64 // Xsiz Ysiz XOsiz YOsiz XTsiz YTsiz XTOsiz YTOsiz
	for i := range v {
		v[i] = int64(binary.BigEndian.Uint32(code[8+4*i:]))
	}
	n := int(binary.BigEndian.Uint16(code[40:]))
	if n == 0 || n > 16 || len(code) < fixed+3*n || int(binary.BigEndian.Uint16(code[4:])) != 38+3*n {
		return siz{}, fmt.Errorf("%w: %d components", ErrTorn, n)
	}
	if v[4] == 0 || v[5] == 0 || v[0] <= v[2] || v[1] <= v[3] || v[6] > v[2] || v[7] > v[3] || v[6]+v[4] <= v[2] || v[7]+v[5] <= v[3] {
		return siz{}, fmt.Errorf("%w: image and tiles do not overlap", ErrTorn)
	}
	if v[2] != 0 || v[3] != 0 {
		// No portrait does; the decoder fails on some that do.
		return siz{}, fmt.Errorf("%w: it begins at %d,%d of its grid", ErrFormat, v[2], v[3])
	}
	const wide = 1 << 20 // keeps the products below in range; far above any limit
	if v[0] > wide || v[1] > wide {
		return siz{}, fmt.Errorf("%w: %d×%d grid", ErrHuge, v[0], v[1])
	}
	s := siz{width: int(v[0] - v[2]), height: int(v[1] - v[3])}
	s.tiles = int(((v[0] - v[6] + v[4] - 1) / v[4]) * ((v[1] - v[7] + v[5] - 1) / v[5]))
	for i := range n {
		c := code[fixed+3*i:]
		s.depths = append(s.depths, int(c[0]&0x7F)+1)
		if c[1] == 0 || c[2] == 0 {
			return siz{}, fmt.Errorf("%w: component %d has no sampling", ErrTorn, i)
		}
		s.subsampled = s.subsampled || c[1] != 1 || c[2] != 1
	}
	if s.subsampled {
		return siz{}, fmt.Errorf("%w: its components differ in size", ErrFormat)
	}
	return s, nil
}

// codestream finds the contiguous codestream box of a JP2 file (ITU-T T.800
// section I.5.4).
func codestream(data []byte) ([]byte, error) {
	if data[0] == 0xFF {
		return data, nil
	}
	if len(data) >= 24 && string(data[16:20]) == "ftyp" && string(data[20:24]) == "mjp2" {
		return nil, ErrAnimated
	}
	for rest := data; len(rest) >= 8; {
		size, head := uint64(binary.BigEndian.Uint32(rest)), uint64(8)
		switch size {
		case 0:
			size = uint64(len(rest))
		case 1:
			if len(rest) < 16 {
				return nil, fmt.Errorf("%w: a box ends in its head", ErrTorn)
			}
			size, head = binary.BigEndian.Uint64(rest[8:]), 16
		}
		if size < head || size > uint64(len(rest)) {
			return nil, fmt.Errorf("%w: a box of %d bytes where %d are left", ErrTorn, size, len(rest))
		}
		if string(rest[4:8]) == "jp2c" {
			return rest[head:size], nil
		}
		rest = rest[size:]
	}
	return nil, fmt.Errorf("%w: no codestream", ErrTorn)
}
