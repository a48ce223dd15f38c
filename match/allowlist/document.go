package allowlist

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"gateagent/gate/mrz"
)

// Document names one document, or where a list knows no number its holder,
// by one match key. Which one follows from the fields: a Signature goes before
// a Number, since nobody can enumerate signatures, and a Number before Name,
// Birth and Flight.
type Document struct {
	Issuer string // issuing state as in the MRZ, "VNM", "D"
	Type   string // first MRZ field without filler, "ID", "P"
	Number string // the complete number; for VNM IDs the twelve digits

	// Signature is the SHA-256 of the signature value in EF.SOD (RFC 5652
	// section 5.3, signature of the SignerInfo that counts), in hexadecimal.
	Signature string

	Name   string // "NGUYEN<<VAN A", "Nguyễn/Văn A": separators do not count
	Birth  string // 1999-08-17
	Flight string // VN123
}

// Kinds of match keys; each begins the encoding of its documents.
const (
	kindNumber    = 1 // issuer, type and whole number
	kindSignature = 2 // hash of the document's signature
	kindPerson    = 3 // name, birth date and flight
)

// maxNumber is the longest number: the nine characters of the TD1 number
// field continued through its optional data (ICAO 9303-5 section 4.2.2), with
// some room.
const maxNumber = 24

// nameLetters of a name count: as many as the name field of a card holds (30
// characters, ICAO 9303-5 section 4.2.2) when six of them are fillers, so that
// a name that was cut there is the name in a passport too.
const nameLetters = 24

// encoded is a document as it goes under the keyed hash: the kind, then each
// field behind its length, so that no two documents have one encoding. Room
// stays behind it for the counter of HKDF.
type encoded struct {
	n int
	b [56]byte
}

func (e *encoded) put(s string) {
	e.b[e.n] = byte(len(s))
	e.n += 1 + copy(e.b[e.n+1:], s)
}

// normalise brings a document into the one form of its match key; fields of
// other keys are dropped.
func (d Document) normalise() (Document, error) {
	switch {
	case d.Signature != "":
		return d.bySignature()
	case d.Number == "" && d.Name+d.Birth+d.Flight != "":
		return d.byPerson()
	}
	return d.byNumber()
}

func (d Document) bySignature() (Document, error) {
	sum := strings.ToLower(strings.TrimSpace(d.Signature))
	if raw, err := hex.DecodeString(sum); err != nil || len(raw) != sha256.Size {
		return d, fieldError("signature", "is no SHA-256 of 64 hexadecimal digits")
	}
	return Document{Signature: sum}, nil
}

// byPerson brings name, birth date and flight into one form.
func (d Document) byPerson() (Document, error) {
	name := strings.Map(func(r rune) rune {
		if r < 'A' || r > 'Z' {
			return -1
		}
		return r
	}, mrz.Transliterate(d.Name))
	birth, err := time.Parse(time.DateOnly, strings.TrimSpace(d.Birth))
	flight := normalFlight(d.Flight)
	switch {
	case len(name) < 2:
		return d, fieldError("name", "has fewer than two letters that a machine readable zone can hold")
	case err != nil || birth.Year() < 1900:
		return d, fieldError("birth", "is no whole date like 1999-08-17")
	case !isFlight(flight):
		return d, fieldError("flight", "is no flight number like VN123")
	}
	return Document{Name: name[:min(len(name), nameLetters)], Birth: birth.Format(time.DateOnly), Flight: flight}, nil
}

// byNumber brings issuer, type and number into one form: upper case, without
// spaces, hyphens and fillers. Germany, "D" in the MRZ (ICAO 9303-3 section
// 5), is "DEU" in many booking systems.
func (d Document) byNumber() (Document, error) {
	d = Document{Issuer: squeeze(d.Issuer), Type: squeeze(d.Type), Number: squeeze(d.Number)}
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
func (d Document) encode() (e encoded) {
	e.n = 1
	switch {
	case d.Signature != "":
		e.b[0] = kindSignature
		raw, _ := hex.DecodeString(d.Signature) // normalise has checked it
		e.put(string(raw))
	case d.Number == "":
		e.b[0] = kindPerson
		e.put(d.Name)
		e.put(d.Birth)
		e.put(d.Flight)
	default:
		e.b[0] = kindNumber
		e.put(d.Issuer)
		e.put(d.Type)
		e.put(d.Number)
	}
	return e
}

// normalFlight brings a flight number into its one form: without leading
// zeros behind the airline's designator of two characters (IATA) or three
// letters (ICAO), so that VN0123 is VN123.
func normalFlight(s string) string {
	s = squeeze(s)
	for _, n := range []int{2, 3} {
		if len(s) <= n || !only(s[:n], isAlphanumeric) {
			continue
		}
		digits := strings.TrimRight(s[n:], "ABCDEFGHIJKLMNOPQRSTUVWXYZ") // an operational suffix
		if digits == "" || len(s)-n-len(digits) > 1 || !only(digits, isDigit) {
			continue
		}
		if short := strings.TrimLeft(s[n:len(s)-1], "0") + s[len(s)-1:]; only(short[:1], isDigit) {
			return s[:n] + short
		}
	}
	return s
}

func isFlight(s string) bool {
	return len(s) >= 3 && len(s) <= maxFlightName && only(s, isAlphanumeric)
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
