// Package lds reads the files of the logical data structure of travel
// documents (ICAO Doc 9303-10): the security object's list, EF.COM and the
// data groups that are judged here. It proves nothing: its caller hands it
// bytes whose hash is already right.
//
// Every parser is bounded by its input, allocates nothing by a declared
// length and decodes no image.
package lds

import (
	"errors"
	"fmt"

	"gateagent/internal/ber"
)

// Tags of the files (ICAO 9303-10 section 4.7, table "LDS data groups").
const (
	tagCOM = 0x60
	tagSOD = 0x77
)

// dgTags holds the tag of data group n at n-1.
var dgTags = [16]uint32{0x61, 0x75, 0x63, 0x76, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x6B, 0x6C, 0x6D, 0x6E, 0x6F, 0x70}

// Tag gives the tag of data group n, 0 when there is no such group.
func Tag(n int) uint32 {
	if n < 1 || n > len(dgTags) {
		return 0
	}
	return dgTags[n-1]
}

// group gives the content of data group n.
func group(n int, raw []byte) ([]byte, error) {
	v, err := ber.Expect(raw, Tag(n))
	if err != nil {
		return nil, fmt.Errorf("DG%d: %w", n, err)
	}
	return v, nil
}

// tagList splits the content of a tag list (5C).
func tagList(b []byte) ([]uint32, error) {
	var out []uint32
	for len(b) > 0 {
		tag, n := uint32(b[0]), 1
		if tag&0x1F == 0x1F {
			for {
				if n >= len(b) || n > 2 {
					return nil, errors.New("malformed tag list")
				}
				tag = tag<<8 | uint32(b[n])
				n++
				if b[n-1]&0x80 == 0 {
					break
				}
			}
		}
		out, b = append(out, tag), b[n:]
	}
	return out, nil
}
