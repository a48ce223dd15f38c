package lds

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"gateagent/internal/ber"
)

// Tags of the biometric template (ICAO 9303-10 section 4.7.2, ISO/IEC
// 7816-11).
const (
	tagGroupTemplate = 0x7F61
	tagTemplate      = 0x7F60
	tagData          = 0x5F2E
	tagDataBuilt     = 0x7F2E
)

// ParseFace finds the first portrait in DG2 and reads its header. Every face
// that the group announces must be there and conform. Data aliases raw.
func ParseFace(raw []byte) (*Image, error) {
	img, err := parseFace(raw)
	if err != nil {
		return nil, fmt.Errorf("DG2: %w", err)
	}
	return img, nil
}

func parseFace(raw []byte) (*Image, error) {
	v, err := ber.Expect(raw, Tag(2))
	if err != nil {
		return nil, err
	}
	all, err := ber.Expect(v, tagGroupTemplate)
	if err != nil {
		return nil, err
	}
	templates, err := counted(all)
	if err != nil {
		return nil, err
	}
	var first *Image
	for _, t := range templates {
		if t.Tag != tagTemplate {
			return nil, fmt.Errorf("element %X among the templates", t.Tag)
		}
		img, err := parseTemplate(t.Value)
		if err != nil {
			return nil, err
		}
		if first == nil {
			first = img
		}
	}
	return first, nil
}

// counted splits a content that opens with the number of its elements
// (INTEGER, ICAO 9303-10 section 4.7): at least one and as many as follow.
func counted(value []byte) ([]ber.TLV, error) {
	parts, err := ber.Children(value)
	if err != nil {
		return nil, err
	}
	if len(parts) == 0 || parts[0].Tag != ber.Integer || len(parts[0].Value) != 1 {
		return nil, errors.New("no number of elements")
	}
	if n := int(parts[0].Value[0]); n == 0 || n != len(parts)-1 {
		return nil, fmt.Errorf("%d elements announced and %d given", n, len(parts)-1)
	}
	return parts[1:], nil
}

// parseTemplate reads the biometric data of one template; what stands beside
// them is of no use here.
func parseTemplate(value []byte) (*Image, error) {
	parts, err := ber.Children(value)
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		switch {
		case p.Tag != tagData && p.Tag != tagDataBuilt:
		case bytes.HasPrefix(p.Value, []byte("FAC\x00")):
			return faceRecord(p.Value)
		default:
			return builtFace(p.Value)
		}
	}
	return nil, errors.New("no biometric data")
}

// Sizes of ISO/IEC 19794-5:2005 section 5: facial record header, facial
// information block, one feature point, image information block.
const (
	sizeRecordHeader = 14
	sizeFaceInfo     = 20
	sizeFeature      = 8
	sizeImageInfo    = 12
)

// faceRecord reads a facial record and gives its first image. What follows
// the record is filler.
func faceRecord(b []byte) (*Image, error) {
	if len(b) < sizeRecordHeader {
		return nil, errors.New("facial record is too short")
	}
	total := uint64(binary.BigEndian.Uint32(b[8:]))
	faces := int(binary.BigEndian.Uint16(b[12:]))
	if total > uint64(len(b)) || total < sizeRecordHeader || faces == 0 {
		return nil, errors.New("facial record header does not fit its data")
	}
	b = b[sizeRecordHeader:total]
	var first *Image
	for range faces {
		pic, rest, err := nextFace(b)
		if err != nil {
			return nil, err
		}
		img, err := ReadHeader(pic)
		if err != nil {
			return nil, err
		}
		if first == nil {
			first = img
		}
		b = rest
	}
	return first, nil
}

// nextFace splits off one facial record data block and gives its image.
func nextFace(b []byte) (pic, rest []byte, err error) {
	if len(b) < sizeFaceInfo+sizeImageInfo {
		return nil, nil, errors.New("facial record is too short")
	}
	size := uint64(binary.BigEndian.Uint32(b))
	points := int(binary.BigEndian.Uint16(b[4:]))
	start := sizeFaceInfo + points*sizeFeature + sizeImageInfo
	if size > uint64(len(b)) || uint64(start) >= size {
		return nil, nil, errors.New("facial information does not fit its data")
	}
	return b[start:size], b[size:], nil
}

// Bounds of the walk through ISO/IEC 39794-5 data.
const (
	maxDepth = 16
	maxNodes = 1 << 14
)

// builtFace reads ISO/IEC 39794-5 data (FaceImageDataBlock, APPLICATION 5,
// bare or wrapped by the tags that ISO/IEC 7816-11 has for standardized data).
// The picture is an octet string some ten tagged blocks deep, the first that
// begins like an image; going to it by content serves all editions. The tree
// as a whole must be well formed.
func builtFace(b []byte) (*Image, error) {
	w := walk{}
	if err := w.tree(b, 0); err != nil {
		return nil, err
	}
	if w.found == nil {
		return nil, errors.New("unknown form of biometric data")
	}
	return ReadHeader(w.found)
}

// walk looks for a picture in a tree of elements.
type walk struct {
	nodes int
	found []byte
}

func (w *walk) tree(b []byte, depth int) error {
	if depth > maxDepth {
		return errors.New("biometric data are nested too deep")
	}
	for len(b) > 0 {
		if w.nodes++; w.nodes > maxNodes {
			return errors.New("biometric data of too many elements")
		}
		t, rest, err := ber.Next(b)
		if err != nil {
			return err
		}
		if t.Constructed() {
			if err := w.tree(t.Value, depth+1); err != nil {
				return err
			}
		} else if w.found == nil && formatOf(t.Value) != "" {
			w.found = t.Value
		}
		b = rest
	}
	return nil
}
