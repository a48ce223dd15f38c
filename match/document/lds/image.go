package lds

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// Image is a picture with what its header says. No pixel is decoded.
type Image struct {
	Format        string // "jpeg", "jp2"
	Width, Height int
	Data          []byte
}

// maxSide bounds width and height of a portrait; ISO/IEC 19794-5 portraits
// have some hundred pixels a side.
const maxSide = 10000

var (
	jpegStart       = []byte{0xFF, 0xD8, 0xFF}
	jp2Start        = []byte("\x00\x00\x00\x0CjP  \r\n\x87\n")
	codestreamStart = []byte{0xFF, 0x4F, 0xFF, 0x51}
)

// formatOf tells a picture by its first bytes; "" when it is none. A bare
// JPEG 2000 codestream counts as jp2.
func formatOf(b []byte) string {
	switch {
	case bytes.HasPrefix(b, jpegStart):
		return "jpeg"
	case bytes.HasPrefix(b, jp2Start), bytes.HasPrefix(b, codestreamStart):
		return "jp2"
	}
	return ""
}

// ReadHeader reads format, width and height of a picture.
func ReadHeader(b []byte) (*Image, error) {
	img := &Image{Format: formatOf(b), Data: b}
	var ok bool
	switch {
	case img.Format == "":
		return nil, errors.New("the picture is neither JPEG nor JPEG 2000")
	case img.Format == "jpeg":
		img.Width, img.Height, ok = jpegSize(b)
	case bytes.HasPrefix(b, codestreamStart):
		img.Width, img.Height, ok = codestreamSize(b)
	default:
		img.Width, img.Height, ok = jp2Size(b)
	}
	if !ok || img.Width < 1 || img.Height < 1 || img.Width > maxSide || img.Height > maxSide {
		return nil, errors.New("the picture's header gives no possible size")
	}
	return img, nil
}

// jpegSize walks the marker segments up to the frame header (ITU-T T.81
// section B.2).
func jpegSize(b []byte) (w, h int, ok bool) {
	b = b[2:]
	for len(b) >= 4 {
		if b[0] != 0xFF {
			return 0, 0, false
		}
		marker := b[1]
		switch {
		case marker == 0xFF: // fill byte
			b = b[1:]
			continue
		case marker == 0x01 || marker >= 0xD0 && marker <= 0xD8: // without length
			b = b[2:]
			continue
		case marker == 0xD9 || marker == 0xDA: // end, or scan before any frame
			return 0, 0, false
		}
		n := int(binary.BigEndian.Uint16(b[2:]))
		if n < 2 || n+2 > len(b) {
			return 0, 0, false
		}
		if marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC {
			if n < 8 {
				return 0, 0, false
			}
			return int(binary.BigEndian.Uint16(b[7:])), int(binary.BigEndian.Uint16(b[5:])), true
		}
		b = b[2+n:]
	}
	return 0, 0, false
}

// codestreamSize reads the SIZ segment (ITU-T T.800 section A.5.1).
func codestreamSize(b []byte) (w, h int, ok bool) {
	if len(b) < 24 {
		return 0, 0, false
	}
	x, y := binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint32(b[12:])
	x0, y0 := binary.BigEndian.Uint32(b[16:]), binary.BigEndian.Uint32(b[20:])
	if x <= x0 || y <= y0 {
		return 0, 0, false
	}
	return int(x - x0), int(y - y0), true
}

// jp2Size finds the image header box (ITU-T T.800 sections I.4 and I.5.3.1).
func jp2Size(b []byte) (w, h int, ok bool) {
	head, ok := box(b, "jp2h")
	if !ok {
		return 0, 0, false
	}
	ihdr, ok := box(head, "ihdr")
	if !ok || len(ihdr) < 8 {
		return 0, 0, false
	}
	height, width := binary.BigEndian.Uint32(ihdr), binary.BigEndian.Uint32(ihdr[4:])
	if height > maxSide || width > maxSide {
		return 0, 0, false
	}
	return int(width), int(height), true
}

// box finds the content of the first box of a kind.
func box(b []byte, kind string) ([]byte, bool) {
	for len(b) >= 8 {
		n, head := uint64(binary.BigEndian.Uint32(b)), uint64(8)
		switch n {
		case 0: // to the end
			n = uint64(len(b))
		case 1:
			if len(b) < 16 {
				return nil, false
			}
			n, head = binary.BigEndian.Uint64(b[8:]), 16
		}
		if n < head || n > uint64(len(b)) {
			return nil, false
		}
		if string(b[4:8]) == kind {
			return b[head:n], true
		}
		b = b[n:]
	}
	return nil, false
}
