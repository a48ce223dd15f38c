package lds

import (
	"crypto"
	"errors"
	"fmt"

	"gateagent/gate/mrz"
	"gateagent/internal/ber"
	"gateagent/match/document/pki"
)

// OIDSecurityObject is the content type of the document security object
// (ICAO 9303-10 section 4.6.2, id-icao-mrtd-security-ldsSecurityObject).
const OIDSecurityObject = "2.23.136.1.1.1"

// SignedObject takes the CMS message out of EF.SOD.
func SignedObject(raw []byte) ([]byte, error) {
	v, err := ber.Expect(raw, tagSOD)
	if err != nil {
		return nil, fmt.Errorf("EF.SOD: %w", err)
	}
	if len(v) == 0 {
		return nil, errors.New("EF.SOD: empty")
	}
	return v, nil
}

// SecurityObject is LDSSecurityObject (ICAO 9303-10 section 4.6.2.3): the
// hashes of the data groups.
type SecurityObject struct {
	Version int
	Hash    crypto.Hash // 0 where HashErr says why
	HashErr error
	Hashes  map[int][]byte
}

// ParseSecurityObject reads versions 0 and 1.
func ParseSecurityObject(der []byte) (*SecurityObject, error) {
	v, err := ber.Expect(der, ber.Sequence)
	if err != nil {
		return nil, fmt.Errorf("security object: %w", err)
	}
	parts, err := ber.Children(v)
	if err != nil {
		return nil, fmt.Errorf("security object: %w", err)
	}
	if len(parts) < 3 || parts[0].Tag != ber.Integer || parts[1].Tag != ber.Sequence || parts[2].Tag != ber.Sequence {
		return nil, errors.New("security object: not of its form")
	}
	if ver := parts[0].Value; len(ver) != 1 || ver[0] > 1 {
		return nil, errors.New("security object: unknown version")
	}
	o := &SecurityObject{Version: int(parts[0].Value[0]), Hashes: map[int][]byte{}}
	o.Hash, o.HashErr = pki.ParseHash(parts[1].Raw)
	if o.HashErr != nil && !errors.Is(o.HashErr, pki.ErrUnsupported) {
		return nil, o.HashErr
	}
	if err := o.parseHashes(parts[2].Value); err != nil {
		return nil, err
	}
	return o, nil
}

func (o *SecurityObject) parseHashes(value []byte) error {
	list, err := ber.Children(value)
	if err != nil {
		return fmt.Errorf("security object: %w", err)
	}
	for _, e := range list {
		pair, err := ber.Children(e.Value)
		if err != nil || e.Tag != ber.Sequence || len(pair) != 2 ||
			pair[0].Tag != ber.Integer || pair[1].Tag != ber.OctetString || len(pair[0].Value) != 1 {
			return errors.New("security object: malformed hash entry")
		}
		n := int(pair[0].Value[0])
		if Tag(n) == 0 || o.Hashes[n] != nil {
			return errors.New("security object: a data group number is impossible or listed twice")
		}
		o.Hashes[n] = pair[1].Value
	}
	if len(o.Hashes) == 0 {
		return errors.New("security object: lists no data group")
	}
	return nil
}

// COM is EF.COM (ICAO 9303-10 section 4.6.1).
type COM struct {
	Groups map[int]bool
}

// ParseCOM reads EF.COM. A tag that is no data group's is an error.
func ParseCOM(raw []byte) (*COM, error) {
	v, err := ber.Expect(raw, tagCOM)
	if err != nil {
		return nil, fmt.Errorf("EF.COM: %w", err)
	}
	parts, err := ber.Children(v)
	if err != nil {
		return nil, fmt.Errorf("EF.COM: %w", err)
	}
	c := &COM{Groups: map[int]bool{}}
	listed := false
	for _, p := range parts {
		if p.Tag != tagTagList {
			continue
		}
		listed = true
		tags, err := tagList(p.Value)
		if err != nil {
			return nil, fmt.Errorf("EF.COM: %w", err)
		}
		for _, t := range tags {
			n := numberOf(t)
			if n == 0 {
				return nil, fmt.Errorf("EF.COM: tag %X is no data group's", t)
			}
			c.Groups[n] = true
		}
	}
	if !listed {
		return nil, errors.New("EF.COM: no tag list")
	}
	return c, nil
}

func numberOf(tag uint32) int {
	for i, t := range dgTags {
		if t == tag {
			return i + 1
		}
	}
	return 0
}

// ParseMRZ reads DG1 (ICAO 9303-10 section 4.7.1).
func ParseMRZ(raw []byte) (*mrz.Document, error) {
	v, err := group(1, raw)
	if err != nil {
		return nil, err
	}
	text, err := ber.Expect(v, 0x5F1F)
	if err != nil {
		return nil, fmt.Errorf("DG1: %w", err)
	}
	switch len(text) { // exact lengths only: a separator has no place here
	case 72, 88, 90:
		d, err := mrz.Parse(string(text))
		if err != nil {
			return nil, fmt.Errorf("DG1: %w", err)
		}
		return d, nil
	}
	return nil, fmt.Errorf("DG1: %d characters fit no format", len(text))
}
