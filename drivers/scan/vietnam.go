package scan

import (
	"bytes"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"gateagent/gate"
)

// Fields of the QR code on Vietnam's chip identity cards, number|old
// number|name|birth|sex|address|issue, as public readers of the card agree.
// Newer cards carry up to four more fields, which are not looked at.
const (
	fieldNumber = iota
	fieldOldNumber
	fieldName
	fieldBirth
	fieldSex
	fieldAddress // never copied
	fieldIssue
	minFields = 6
	maxFields = 11
)

// Lengths of the numbers: the personal number has twelve digits, the identity
// card before it nine, and a reissued card may name a former number of twelve.
const (
	numberLength    = 12
	oldNumberLength = 9
	maxName         = 200 // bytes; the longest names on cards stay below 100
)

// vietnam reads the QR code. The address is skipped where it stands in the
// frame, which the caller wipes.
func vietnam(b []byte) gate.Scan {
	if !utf8.Valid(b) {
		return gate.Scan{}
	}
	f := bytes.Split(b, []byte{'|'})
	if len(f) < minFields || len(f) > maxFields {
		return gate.Scan{}
	}
	for i := range f {
		f[i] = bytes.TrimSpace(f[i])
	}
	if _, early := date(f[fieldName]); len(f) == minFields && early {
		f = slices.Insert(f, fieldOldNumber, nil) // an encoder that leaves the empty field out
	}
	number, old := f[fieldNumber], f[fieldOldNumber]
	if len(number) != numberLength || !digits(number) {
		return gate.Scan{}
	}
	if len(old) > 0 && (len(old) != oldNumberLength && len(old) != numberLength || !digits(old)) {
		return gate.Scan{}
	}
	birth, ok := date(f[fieldBirth])
	if !ok || !name(f[fieldName]) {
		return gate.Scan{}
	}
	issue := ""
	if len(f) > fieldIssue && len(f[fieldIssue]) > 0 {
		if issue, ok = date(f[fieldIssue]); !ok || issue < birth {
			return gate.Scan{}
		}
	}
	return gate.Scan{
		Kind: gate.ScanVietnamID,
		Vietnam: &gate.VietnamQR{
			Number: string(number), OldNumber: string(old), Name: string(f[fieldName]),
			Birth: birth, Sex: sex(f[fieldSex]), Issue: issue,
		},
		Key: gate.AccessKey{CAN: bytes.Clone(number[numberLength-canLength:])},
	}
}

// name accepts letters with their marks, spaces and the few signs of names.
func name(b []byte) bool {
	if len(b) == 0 || len(b) > maxName {
		return false
	}
	for _, r := range string(b) {
		if !unicode.IsLetter(r) && !unicode.IsMark(r) && !bytes.ContainsRune([]byte(" '’-.,"), r) {
			return false
		}
	}
	return true
}

// date turns ddMMyyyy into 2006-01-02, if there is such a day. Nobody on a
// card was born before 1880.
func date(b []byte) (string, bool) {
	if len(b) != 8 || !digits(b) {
		return "", false
	}
	t, err := time.Parse("02012006", string(b))
	if err != nil || t.Year() < 1880 {
		return "", false
	}
	return t.Format(time.DateOnly), true
}

// sex knows Nam and Nữ, the latter also with its marks decomposed or lost.
func sex(b []byte) string {
	switch string(bytes.ToLower(b)) {
	case "nam":
		return "M"
	case "nữ", "nu\u031b\u0303", "nư\u0303", "nu\u0303\u031b", "nu":
		return "F"
	}
	return ""
}
