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

// CheckGroup says whether a data group of which nothing is used is well
// formed: the right tag, and elements inside that fill it exactly.
func CheckGroup(n int, raw []byte) error {
	v, err := group(n, raw)
	if err != nil {
		return err
	}
	parts, err := ber.Children(v)
	if err != nil {
		return fmt.Errorf("DG%d: %w", n, err)
	}
	if len(parts) == 0 {
		return fmt.Errorf("DG%d: empty", n)
	}
	return nil
}

// CheckDetails says whether DG11 or DG12 is well formed (ICAO 9303-10
// sections 4.7.11 and 4.7.12): a tag list, then elements of which each is in
// the list. Their content is not used.
func CheckDetails(n int, raw []byte) error {
	v, err := group(n, raw)
	if err != nil {
		return err
	}
	list, rest, err := ber.Next(v)
	if err != nil {
		return fmt.Errorf("DG%d: %w", n, err)
	}
	if list.Tag != 0x5C {
		return fmt.Errorf("DG%d: no tag list", n)
	}
	tags, err := tagList(list.Value)
	if err != nil {
		return fmt.Errorf("DG%d: %w", n, err)
	}
	known := map[uint32]bool{}
	for _, t := range tags {
		known[t] = true
	}
	parts, err := ber.Children(rest)
	if err != nil {
		return fmt.Errorf("DG%d: %w", n, err)
	}
	for _, p := range parts {
		// A list of several values is wrapped in A0 and opens with their
		// number.
		if p.Tag != 0xA0 && !known[p.Tag] {
			return fmt.Errorf("DG%d: element %X is not in its tag list", n, p.Tag)
		}
	}
	return nil
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
