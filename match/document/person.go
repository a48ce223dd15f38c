package document

import (
	"strings"
	"time"

	"gateagent/gate"
	"gateagent/gate/mrz"
)

// Person judges what the proven DG1 says: issuer, expiry and mrz.dg1.
func (c *docCase) Person(scan gate.Scan) []gate.Check {
	return []gate.Check{c.issuer(), c.expiry(), c.compare(scan)}
}

// provenMRZ is DG1 if it is proven, else nil.
func (c *docCase) provenMRZ() *mrz.Document {
	if !c.proven() {
		return nil
	}
	return c.mrz
}

// issuer compares the issuing state with the document signer's country.
func (c *docCase) issuer() gate.Check {
	const id = gate.CheckIssuer
	d := c.provenMRZ()
	if d == nil || c.signer == nil {
		return check(id, gate.Undetermined, gate.CodeDGNeeded, "")
	}
	want, ok := countriesOf(d.Issuer)
	got := country(c.signer)
	if !ok || got == "" {
		return check(id, gate.Undetermined, gate.CodeIssuerUnknown, d.Issuer+" against "+countryText(c.signer))
	}
	for _, w := range want {
		if w == got {
			return check(id, gate.Successful, 0, d.Issuer)
		}
	}
	return check(id, gate.Failed, gate.CodeIssuerMismatch, d.Issuer+" against "+countryText(c.signer))
}

// expiry judges by trusted time: valid to the end of the day in the kiosk's
// zone. A date with open parts is decided only where every reading agrees.
func (c *docCase) expiry() gate.Check {
	const id = gate.CheckExpiry
	d := c.provenMRZ()
	if d == nil {
		return check(id, gate.Undetermined, gate.CodeDGNeeded, "")
	}
	if unlimited(d) {
		return check(id, gate.Successful, 0, "unlimited")
	}
	s, ok := readDate(d.Expiry, 2000, c.at.Zone)
	if !ok {
		return check(id, gate.Undetermined, gate.CodeExpiryUnknown, "")
	}
	if !c.at.Trusted {
		return check(id, gate.Undetermined, gate.CodeClockUntrusted, "")
	}
	switch {
	case c.at.Now.Before(s.first.AddDate(0, 0, 1)):
		return check(id, gate.Successful, 0, "")
	case !c.at.Now.Before(s.last.AddDate(0, 0, 1)):
		return check(id, gate.Failed, gate.CodeExpired, "")
	}
	return check(id, gate.Undetermined, gate.CodeExpiryUnknown, "")
}

// Document gives the fields of DG1. They are given also where the security
// object is undetermined, so that staff see what they inspect; never where it
// or its signer failed.
func (c *docCase) Document() (gate.Document, bool) {
	d := c.mrz
	if d == nil || c.sod == gate.Failed || c.trusted == gate.Failed {
		return gate.Document{}, false
	}
	doc := gate.Document{
		Type: d.Type, Issuer: d.Issuer, Number: d.Number, Optional: d.Optional, Name: displayName(d),
		Sex: d.Sex, Nationality: d.Nationality, MatchNumber: matchNumber(d), National: c.national,
	}
	if birth, ok := readBirth(d.Birth, c.now(), c.at.Zone); ok {
		doc.Birth, doc.BirthDate = birth.text, birth.first
	}
	if c.sod == gate.Successful {
		doc.Signature = c.value
	}
	if unlimited(d) {
		doc.Expiry = "unlimited"
	} else if s, ok := readDate(d.Expiry, 2000, c.at.Zone); ok {
		doc.Expiry = s.text
	}
	return doc, true
}

// now is the time for telling centuries apart, which needs no trusted clock.
func (c *docCase) now() time.Time {
	if c.at.Now.IsZero() {
		return time.Now()
	}
	return c.at.Now
}

func displayName(d *mrz.Document) string {
	if d.Given == "" {
		return d.Surname
	}
	return d.Surname + "<<" + d.Given
}

// matchNumber is the number that the allowlist knows: for Vietnamese identity
// cards the twelve digits, because strangers share the nine of the number
// field; else the document number, if its check digit is right.
func matchNumber(d *mrz.Document) string {
	if isVietnamID(d) {
		n, ok := d.VietnamNumber()
		if !ok {
			return ""
		}
		return n
	}
	for _, g := range d.Digits {
		if g.Field == mrz.DigitNumber && g.OK() {
			return d.Number
		}
	}
	return ""
}

// compare judges what was scanned against DG1.
func (c *docCase) compare(scan gate.Scan) gate.Check {
	const id = gate.CheckMRZDG1
	switch {
	case scan.Kind == gate.ScanMRZ && scan.MRZ != nil:
	case scan.Kind == gate.ScanVietnamID && scan.Vietnam != nil:
	case scan.Kind == gate.ScanCAN:
		return check(id, gate.NotSupported, gate.CodeMRZNothingToMatch, "")
	default:
		return check(id, gate.NotSupported, gate.CodeMRZNotPresented, "")
	}
	d := c.provenMRZ()
	if d == nil {
		return check(id, gate.Undetermined, gate.CodeDGNeeded, "")
	}
	if scan.Kind == gate.ScanVietnamID {
		return verdict(differVietnam(scan.Vietnam, d), true)
	}
	differ := differMRZ(scan.MRZ, d)
	return verdict(differ, scan.MRZ.Optional == d.Optional && scan.MRZ.Optional2 == d.Optional2)
}

// verdict names the fields that differ, never their content.
func verdict(differ []string, optional bool) gate.Check {
	const id = gate.CheckMRZDG1
	switch {
	case len(differ) > 0:
		return check(id, gate.Failed, gate.CodeMRZMismatch, strings.Join(differ, ", "))
	case !optional:
		return check(id, gate.Undetermined, gate.CodeMRZOptional, "optional data")
	}
	return check(id, gate.Successful, 0, "")
}

// differMRZ names the fields in which an optical zone is not DG1.
func differMRZ(scan, chip *mrz.Document) []string {
	var out []string
	for _, f := range []struct{ name, a, b string }{
		{"format", scan.Format, chip.Format},
		{"type", scan.Type, chip.Type},
		{"issuer", scan.Issuer, chip.Issuer},
		{"number", scan.Number, chip.Number},
		{"birth", scan.Birth, chip.Birth},
		{"sex", scan.Sex, chip.Sex},
		{"expiry", scan.Expiry, chip.Expiry},
		{"nationality", scan.Nationality, chip.Nationality},
	} {
		if f.a != f.b {
			out = append(out, f.name)
		}
	}
	if !sameName(scan.NameField(), chip) {
		out = append(out, "name")
	}
	return out
}

// differVietnam names the fields in which the card's QR code is not DG1.
// Address, old number and issue date have no counterpart there.
func differVietnam(qr *gate.VietnamQR, chip *mrz.Document) []string {
	var out []string
	if !holdsNumber(chip, qr.Number) {
		out = append(out, "number")
	}
	if !sameName(mrz.Transliterate(qr.Name), chip) {
		out = append(out, "name")
	}
	if b := qr.Birth; len(b) != 10 || b[2:4]+b[5:7]+b[8:] != chip.Birth {
		out = append(out, "birth")
	}
	if qr.Sex != chip.Sex {
		out = append(out, "sex")
	}
	return out
}

// holdsNumber says whether a Vietnamese identity card has these twelve digits
// in its optional data. The check digit after them, which MatchNumber wants
// too, is not part of the comparison.
func holdsNumber(chip *mrz.Document, twelve string) bool {
	return isVietnamID(chip) && len(twelve) == 12 && strings.HasPrefix(chip.Optional, twelve)
}

// sameName compares a name in the characters of the zone with DG1's. Runs of
// filler count as one, so a name whose parts are not told apart compares too.
// A name that fills its field in DG1 may have been cut there.
func sameName(name string, chip *mrz.Document) bool {
	want, field := squeeze(name), chip.NameField()
	got := squeeze(field)
	if got == "" || want == "" {
		return got == want
	}
	return want == got || mayBeCut(chip.Format, field) && strings.HasPrefix(want, got)
}

// mayBeCut says whether a name reaches the end of its field (ICAO 9303-4 to
// -6, section 4.2.2: 39, 31 and 30 characters), or ends in the filler there.
func mayBeCut(format, field string) bool {
	width := map[string]int{mrz.TD1: 30, mrz.TD2: 31, mrz.TD3: 39}[format]
	return width > 0 && len(field) >= width-1
}

func squeeze(name string) string {
	return strings.Join(strings.FieldsFunc(name, func(r rune) bool { return r == '<' || r == ' ' }), "<")
}
