// Package mrz reads machine readable zones after ICAO Doc 9303 parts 3 to 6.
//
// Reading is strict about structure (lines, lengths, characters) and reports
// check digits instead of refusing them, so that a caller can tell a misread
// line from something that is no machine readable zone at all. Errors name a
// line and a column and never the text that was read.
package mrz

import (
	"errors"
	"fmt"
	"strings"
)

// Formats of machine readable zones (ICAO 9303-3 section 4, 9303-4 to -6).
const (
	TD1 = "TD1" // three lines of 30
	TD2 = "TD2" // two lines of 36
	TD3 = "TD3" // two lines of 44
)

// Names of check digits as Digit.Field carries them.
const (
	DigitNumber    = "number"
	DigitBirth     = "birth"
	DigitExpiry    = "expiry"
	DigitOptional  = "optional"
	DigitComposite = "composite"
)

// Lengths of the lines (ICAO 9303-4 to -6, section 4.2).
const (
	td1Line = 30
	td2Line = 36
	td3Line = 44
	// maxText bounds what Parse looks at: three lines with generous
	// separators and margins.
	maxText = 256
)

// ErrVisa is wrapped by Parse for the formats MRV-A and MRV-B (ICAO 9303-7),
// which have no chip and so are not read.
var ErrVisa = errors.New("a visa, which is not supported: scan the travel document itself")

var errCharacter = errors.New("check digit: a character other than A-Z, 0-9 and <")

// Document is one parsed machine readable zone.
type Document struct {
	Format      string // "TD1", "TD2", "TD3"
	Type        string // "ID", "P", without filler
	Issuer      string // three letters as printed, without filler
	NumberField string // the nine characters of the number field, without filler
	Number      string // the complete document number (TD1/TD2: continued in the optional data where it is longer than nine)
	Optional    string // optional data without trailing filler; a continued number and its check digit are left out
	Optional2   string // TD1 only: optional data of the second line, without trailing filler
	Surname     string // fillers as spaces
	Given       string
	Birth       string // YYMMDD as printed, may contain fillers
	Sex         string // "M", "F" or ""
	Expiry      string // YYMMDD as printed
	Nationality string
	Digits      []Digit
}

// Digit is one check digit with what it should have been.
type Digit struct {
	Field    string // "number", "birth", "expiry", "optional", "composite"
	Printed  byte
	Computed byte
}

// OK says whether the printed digit is the computed one.
func (d Digit) OK() bool { return d.Printed == d.Computed }

// Valid says whether every check digit is right. A document without digits is
// not valid.
func (d *Document) Valid() bool {
	for _, g := range d.Digits {
		if !g.OK() {
			return false
		}
	}
	return len(d.Digits) > 0
}

// Parse reads two or three lines, separated by line ends or slashes, or
// joined without separator: 72 characters are TD2, 88 TD3, 90 TD1. An error
// means that the text is no machine readable zone that we read; wrong check
// digits are no error and stand in Digits.
func Parse(text string) (*Document, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("machine readable zone: %d characters are too many for any format", len(text))
	}
	lines := split(text)
	format, err := formatOf(lines)
	if err != nil {
		return nil, err
	}
	for n, l := range lines {
		for i := 0; i < len(l); i++ {
			if _, ok := value(l[i]); !ok {
				return nil, fmt.Errorf("machine readable zone: line %d column %d holds a character other than A-Z, 0-9 and <: scan again", n+1, i+1)
			}
		}
	}
	if lines[0][0] < 'A' || lines[0][0] > 'Z' {
		return nil, errors.New("machine readable zone: line 1 does not begin with a document type: scan the lines from top to bottom")
	}
	switch format {
	case TD1:
		return parseTD1(lines), nil
	case TD2, TD3:
		if lines[0][0] == 'V' {
			return nil, fmt.Errorf("machine readable zone: %w", ErrVisa)
		}
	}
	if format == TD2 {
		return parseTD2(lines), nil
	}
	return parseTD3(lines), nil
}

func split(text string) []string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' || r == '/' })
	kept := lines[:0]
	for _, l := range lines {
		if l = strings.Trim(l, " \t"); l != "" {
			kept = append(kept, l)
		}
	}
	if len(kept) != 1 {
		return kept
	}
	joined, n := kept[0], 0
	switch len(joined) {
	case 3 * td1Line:
		n = td1Line
	case 2 * td2Line:
		n = td2Line
	case 2 * td3Line:
		n = td3Line
	default:
		return kept
	}
	var parts []string
	for ; joined != ""; joined = joined[n:] {
		parts = append(parts, joined[:n])
	}
	return parts
}

func formatOf(lines []string) (string, error) {
	lens := make([]int, len(lines))
	for i, l := range lines {
		lens[i] = len(l)
	}
	switch {
	case len(lens) == 3 && lens[0] == td1Line && lens[1] == td1Line && lens[2] == td1Line:
		return TD1, nil
	case len(lens) == 2 && lens[0] == td2Line && lens[1] == td2Line:
		return TD2, nil
	case len(lens) == 2 && lens[0] == td3Line && lens[1] == td3Line:
		return TD3, nil
	case len(lens) == 0:
		return "", errors.New("machine readable zone: empty")
	case len(lens) > 3:
		return "", fmt.Errorf("machine readable zone: %d lines, expected 3 of 30, 2 of 36 or 2 of 44 characters", len(lens))
	}
	return "", fmt.Errorf("machine readable zone: line lengths %v, expected 3 of 30, 2 of 36 or 2 of 44 characters", lens)
}
