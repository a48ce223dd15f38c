package allowlist

import (
	"strings"
)

// Document names one document the way the list knows it.
type Document struct {
	Issuer string // issuing state as in the MRZ, "VNM", "D"
	Type   string // first MRZ field without filler, "ID", "P"
	Number string // the complete number; for VNM IDs the twelve digits
}

// kindNumber begins the encoding of a document named by its number. Other
// kinds of match keys take other bytes.
const kindNumber = 1

// maxNumber is the longest number: the nine characters of the TD1 number
// field continued through its optional data (ICAO 9303-5 section 4.2.2), with
// some room.
const maxNumber = 24

// encoded is a document as it goes under the keyed hash: the kind, then each
// field behind its length, so that no two documents have one encoding. Room
// stays behind it for the counter of HKDF.
type encoded struct {
	n int
	b [40]byte
}

func (e *encoded) put(s string) {
	e.b[e.n] = byte(len(s))
	e.n += 1 + copy(e.b[e.n+1:], s)
}

// normalise brings a document into its one form: upper case, without spaces,
// hyphens and fillers. Germany, "D" in the MRZ (ICAO 9303-3 section 5), is
// "DEU" in many booking systems.
func (d Document) normalise() (Document, error) {
	d.Issuer, d.Type, d.Number = squeeze(d.Issuer), squeeze(d.Type), squeeze(d.Number)
	if d.Issuer == "DEU" {
		d.Issuer = "D"
	}
	switch {
	case d.Issuer == "":
		return d, fieldError("issuer", "is empty")
	case len(d.Issuer) > 3 || !only(d.Issuer, isLetter):
		return d, fieldError("issuer", "is no state code of up to three letters")
	case d.Type == "":
		return d, fieldError("type", "is empty")
	case len(d.Type) > 2 || !only(d.Type, isAlphanumeric) || !isLetter(d.Type[0]):
		return d, fieldError("type", "is no document type of one or two characters, as in the MRZ")
	case d.Number == "":
		return d, fieldError("number", "is empty")
	case len(d.Number) > maxNumber || !only(d.Number, isAlphanumeric):
		return d, fieldError("number", "has characters or a length that no document number has")
	case d.vietnamID() && (len(d.Number) != 12 || !only(d.Number, isDigit)):
		return d, fieldError("number", "of a VNM identity card must be the twelve digits, not the nine of the MRZ number field")
	}
	return d, nil
}

// vietnamID says whether the nine characters of the number field are shared
// by strangers, so that only the twelve digits are complete.
func (d Document) vietnamID() bool { return d.Issuer == "VNM" && d.Type[0] == 'I' }

// encode expects a normalised document.
func (d Document) encode() encoded {
	e := encoded{n: 1}
	e.b[0] = kindNumber
	e.put(d.Issuer)
	e.put(d.Type)
	e.put(d.Number)
	return e
}

// squeeze drops what readers and booking systems put between characters.
func squeeze(s string) string {
	clean := true
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= 'a' && c <= 'z' || c == ' ' || c == '-' || c == '<' {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	return strings.ToUpper(strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == '<' {
			return -1
		}
		return r
	}, s))
}

func isLetter(c byte) bool       { return c >= 'A' && c <= 'Z' }
func isDigit(c byte) bool        { return c >= '0' && c <= '9' }
func isAlphanumeric(c byte) bool { return isLetter(c) || isDigit(c) }

func only(s string, class func(byte) bool) bool {
	for i := 0; i < len(s); i++ {
		if !class(s[i]) {
			return false
		}
	}
	return true
}

// FieldError says what is wrong with one field of a row. It never holds the
// field's content.
type FieldError struct{ Field, Reason string }

// Error names the field and the reason.
func (e *FieldError) Error() string { return e.Field + " " + e.Reason }

func fieldError(field, reason string) error { return &FieldError{field, reason} }
