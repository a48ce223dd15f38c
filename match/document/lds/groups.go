package lds

import (
	"errors"
	"fmt"

	"gateagent/internal/ber"
)

// Tags inside the groups of which only the form is judged (ICAO 9303-10
// sections 4.7.5, 4.7.7, 4.7.11, 4.7.12 and 4.7.16).
const (
	tagPortrait  = 0x5F40
	tagSignature = 0x5F43
	tagTagList   = 0x5C
	tagSeveral   = 0xA0 // a counted list inside DG11 and DG12
	tagPerson    = 0xA1 // of the first person in DG16
)

// CheckGroup says whether a data group of which nothing is used is well
// formed. DG1, DG2, DG13, DG14 and DG15 have parsers of their own.
func CheckGroup(n int, raw []byte) error {
	v, err := group(n, raw)
	if err != nil {
		return err
	}
	switch n {
	case 5:
		err = checkPictures(v, tagPortrait)
	case 7:
		err = checkPictures(v, tagSignature)
	case 11, 12:
		err = checkDetails(v)
	case 16:
		err = checkPersons(v)
	default:
		err = checkElements(v)
	}
	if err != nil {
		return fmt.Errorf("DG%d: %w", n, err)
	}
	return nil
}

// checkElements wants elements that fill the group exactly.
func checkElements(v []byte) error {
	parts, err := ber.Children(v)
	if err == nil && len(parts) == 0 {
		err = errors.New("empty")
	}
	return err
}

// checkPictures wants a number and as many pictures. They are shown to
// nobody, so what they hold is not looked at.
func checkPictures(v []byte, tag uint32) error {
	parts, err := counted(v)
	if err != nil {
		return err
	}
	for _, p := range parts {
		if p.Tag != tag || len(p.Value) == 0 {
			return fmt.Errorf("element %X where %X was expected", p.Tag, tag)
		}
	}
	return nil
}

// checkDetails wants a tag list, then elements of which each is in the list.
// That the list names elements which are not there is common and no fault.
func checkDetails(v []byte) error {
	list, rest, err := ber.Next(v)
	if err != nil {
		return err
	}
	if list.Tag != tagTagList {
		return errors.New("no tag list")
	}
	tags, err := tagList(list.Value)
	if err != nil {
		return err
	}
	known := map[uint32]bool{}
	for _, t := range tags {
		known[t] = true
	}
	parts, err := ber.Children(rest)
	if err != nil {
		return err
	}
	for _, p := range parts {
		switch {
		case p.Tag == tagSeveral: // listed under the tag of its values, if at all
			err = checkSeveral(p.Value)
		case !known[p.Tag]:
			err = fmt.Errorf("element %X is not in its tag list", p.Tag)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkSeveral wants a list of values of one kind: their number, then as
// many.
func checkSeveral(v []byte) error {
	parts, err := counted(v)
	if err != nil {
		return err
	}
	for _, p := range parts {
		if p.Tag != parts[0].Tag {
			return errors.New("a list of values of several kinds")
		}
	}
	return nil
}

// checkPersons wants a number and as many templates, numbered from A1, of
// persons to notify.
func checkPersons(v []byte) error {
	parts, err := counted(v)
	if err != nil {
		return err
	}
	for i, p := range parts {
		if p.Tag != tagPerson+uint32(i) {
			return fmt.Errorf("element %X where a person was expected", p.Tag)
		}
		if err := checkElements(p.Value); err != nil {
			return err
		}
	}
	return nil
}
