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

// ParseFace finds the first portrait in DG2 and reads its header. Data
// aliases raw.
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
	count, ok := ber.Find(all, ber.Integer)
	if !ok || len(count.Value) != 1 || count.Value[0] == 0 {
		return nil, errors.New("no number of templates")
	}
	template, ok := ber.Find(all, tagTemplate)
	if !ok {
		return nil, errors.New("no template")
	}
	for _, tag := range [...]uint32{tagData, tagDataBuilt} {
		data, ok := ber.Find(template.Value, tag)
		if !ok {
			continue
		}
		pic, err := picture(data.Value, tag == tagDataBuilt)
		if err != nil {
			return nil, err
		}
		return ReadHeader(pic)
	}
	return nil, errors.New("no biometric data")
}

func picture(data []byte, built bool) ([]byte, error) {
	if bytes.HasPrefix(data, []byte("FAC\x00")) {
		return faceRecord(data)
	}
	if built {
		nodes := 0
		if p := findPicture(data, 0, &nodes); p != nil {
			return p, nil
		}
	}
	return nil, errors.New("unknown form of biometric data")
}

// Sizes of ISO/IEC 19794-5:2005 section 5: facial record header, facial
// information block, one feature point, image information block.
const (
	sizeRecordHeader = 14
	sizeFaceInfo     = 20
	sizeFeature      = 8
	sizeImageInfo    = 12
)

// faceRecord takes the first image out of a facial record.
func faceRecord(b []byte) ([]byte, error) {
	if len(b) < sizeRecordHeader+sizeFaceInfo+sizeImageInfo {
		return nil, errors.New("facial record is too short")
	}
	total := uint64(binary.BigEndian.Uint32(b[8:]))
	faces := binary.BigEndian.Uint16(b[12:])
	if total > uint64(len(b)) || total < sizeRecordHeader || faces == 0 {
		return nil, errors.New("facial record header does not fit its data")
	}
	face := b[sizeRecordHeader:total]
	if len(face) < sizeFaceInfo+sizeImageInfo {
		return nil, errors.New("facial record is too short")
	}
	size := uint64(binary.BigEndian.Uint32(face))
	points := int(binary.BigEndian.Uint16(face[4:]))
	start := sizeFaceInfo + points*sizeFeature + sizeImageInfo
	if size > uint64(len(face)) || uint64(start) >= size {
		return nil, errors.New("facial information does not fit its data")
	}
	return face[start:size], nil
}

// Bounds of the search for a picture in ISO/IEC 39794-5 data.
const (
	maxDepth = 12
	maxNodes = 512
)

// findPicture finds the first octet string that begins like an image. ISO/IEC
// 39794-5 nests the picture as representation data in tagged blocks; walking
// to it by content serves all its editions.
func findPicture(b []byte, depth int, nodes *int) []byte {
	if depth > maxDepth {
		return nil
	}
	for len(b) > 0 {
		if *nodes++; *nodes > maxNodes {
			return nil
		}
		t, rest, err := ber.Next(b)
		if err != nil {
			return nil
		}
		if t.Constructed() {
			if p := findPicture(t.Value, depth+1, nodes); p != nil {
				return p
			}
		} else if formatOf(t.Value) != "" {
			return t.Value
		}
		b = rest
	}
	return nil
}
