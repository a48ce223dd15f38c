package lds

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"gateagent/internal/ber"
)

// National is what is read of DG13 of the Vietnamese identity card. There is
// no public standard; the layout is that of several published readers.
type National struct {
	ID, Name, Birth, Sex, Nationality, Issue, Expiry, OldID string
}

// maxNational bounds one field.
const maxNational = 512

// ParseNational reads the eight fields of DG13 that may be known here. All
// other elements (ethnicity, religion, family, address and more) are stepped
// over by their length: they are neither looked into nor copied.
func ParseNational(raw []byte) (*National, error) {
	v, err := group(13, raw)
	if err != nil {
		return nil, err
	}
	body, err := ber.Expect(v, ber.Sequence)
	if err != nil {
		return nil, fmt.Errorf("DG13: %w", err)
	}
	version, rest, err := ber.Next(body)
	if err != nil || version.Tag != ber.Integer || len(version.Value) != 1 || version.Value[0] != 1 {
		return nil, errors.New("DG13: not the known national layout")
	}
	oid, rest, err := ber.Next(rest)
	if err != nil || oid.Tag != ber.OID {
		return nil, errors.New("DG13: not the known national layout")
	}
	set, err := ber.Expect(rest, ber.Set)
	if err != nil {
		return nil, fmt.Errorf("DG13: %w", err)
	}
	n := &National{}
	for len(set) > 0 {
		var e ber.TLV
		if e, set, err = ber.Next(set); err != nil {
			return nil, fmt.Errorf("DG13: %w", err)
		}
		if e.Tag != ber.Sequence {
			return nil, errors.New("DG13: an element is no sequence")
		}
		if err := n.take(e.Value); err != nil {
			return nil, fmt.Errorf("DG13: %w", err)
		}
	}
	return n, nil
}

// field gives where element number goes, nil for those that are skipped.
func (n *National) field(number byte) *string {
	switch number {
	case 1:
		return &n.ID
	case 2:
		return &n.Name
	case 3:
		return &n.Birth
	case 4:
		return &n.Sex
	case 5:
		return &n.Nationality
	case 11:
		return &n.Issue
	case 12:
		return &n.Expiry
	case 15:
		return &n.OldID
	}
	return nil
}

func (n *National) take(value []byte) error {
	number, rest, err := ber.Next(value)
	if err != nil {
		return err
	}
	if number.Tag != ber.Integer || len(number.Value) == 0 {
		return errors.New("an element has no number")
	}
	if len(number.Value) != 1 {
		return nil
	}
	into := n.field(number.Value[0])
	if into == nil {
		return nil
	}
	if *into != "" {
		return errors.New("an element occurs twice")
	}
	if len(rest) == 0 {
		return nil // the field is absent
	}
	text, err := ber.One(rest)
	if err != nil {
		return err
	}
	switch text.Tag {
	case ber.UTF8String, ber.PrintableString, ber.IA5String:
		if len(text.Value) > maxNational || !utf8.Valid(text.Value) {
			return errors.New("a field is no text of bearable length")
		}
		*into = string(text.Value)
		return nil
	case ber.Null:
		return nil
	}
	return errors.New("a field is no text")
}
