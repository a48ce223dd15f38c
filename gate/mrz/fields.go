package mrz

import "strings"

// parseTD1 takes the fields of ICAO 9303-5 section 4.2.2.
func parseTD1(l []string) *Document {
	d := &Document{
		Format: TD1, Type: trim(l[0][:2]), Issuer: trim(l[0][2:5]),
		Birth: l[1][:6], Sex: sex(l[1][7]), Expiry: l[1][8:14],
		Nationality: trim(l[1][15:18]), Optional2: trim(l[1][18:29]),
	}
	d.takeNumber(l[0][5:14], l[0][14], l[0][15:30])
	d.takeName(l[2])
	d.digit(DigitBirth, l[1][6], d.Birth)
	d.digit(DigitExpiry, l[1][14], d.Expiry)
	d.takeVietnamDigit(l[0][15:30])
	d.digit(DigitComposite, l[1][29], l[0][5:30]+l[1][:7]+l[1][8:15]+l[1][18:29])
	return d
}

// parseTD2 takes the fields of ICAO 9303-6 section 4.2.2.
func parseTD2(l []string) *Document {
	d := parseTwoLines(TD2, l, l[1][28:35])
	d.digit(DigitComposite, l[1][35], l[1][:10]+l[1][13:20]+l[1][21:35])
	return d
}

// parseTD3 takes the fields of ICAO 9303-4 section 4.2.2. Where the optional
// data are empty, their check digit may be zero or filler there.
func parseTD3(l []string) *Document {
	d := parseTwoLines(TD3, l, "")
	d.Optional = trim(l[1][28:42])
	d.digit(DigitOptional, l[1][42], l[1][28:42])
	if last := &d.Digits[len(d.Digits)-1]; d.Optional == "" && last.Printed == '<' {
		last.Computed = '<'
	}
	d.digit(DigitComposite, l[1][43], l[1][:10]+l[1][13:20]+l[1][21:43])
	return d
}

// parseTwoLines takes what TD2 and TD3 have at the same places. optional is
// where a number longer than nine characters may go on; TD3 has no such place.
func parseTwoLines(format string, l []string, optional string) *Document {
	d := &Document{
		Format: format, Type: trim(l[0][:2]), Issuer: trim(l[0][2:5]),
		Nationality: trim(l[1][10:13]), Birth: l[1][13:19], Sex: sex(l[1][20]), Expiry: l[1][21:27],
	}
	d.takeNumber(l[1][:9], l[1][9], optional)
	d.takeName(l[0][5:])
	d.digit(DigitBirth, l[1][19], d.Birth)
	d.digit(DigitExpiry, l[1][27], d.Expiry)
	return d
}

// takeNumber takes the document number. In TD1 and TD2 one that is longer
// than nine characters has a filler where its check digit would stand and
// goes on in the optional data up to the first filler there; the last
// character before that filler is the check digit (ICAO 9303-5 and 9303-6,
// section 4.2.2, note j; 9303-11 appendix D.2).
func (d *Document) takeNumber(field string, digit byte, optional string) {
	d.NumberField, d.Number, d.Optional = trim(field), trim(field), trim(optional)
	if rest, _, _ := strings.Cut(optional, "<"); digit == '<' && field[8] != '<' && len(rest) >= 2 {
		n := len(rest) - 1
		d.Number, digit = field+rest[:n], rest[n]
		d.Optional = trim(strings.TrimPrefix(optional[len(rest):], "<"))
		field = d.Number
	}
	d.digit(DigitNumber, digit, field)
}

// takeName splits the name field: two fillers part the primary from the
// secondary identifier (ICAO 9303-3 section 4.6).
func (d *Document) takeName(field string) {
	first, second, _ := strings.Cut(trim(field), "<<")
	d.Surname = strings.ReplaceAll(first, "<", " ")
	d.Given = strings.ReplaceAll(trim(second), "<", " ")
}

// Positions in the optional data of the Vietnamese identity card: twelve
// digits of the personal number, two fillers and the check digit over the
// twelve (as the published readers of the card agree; not an ICAO rule).
const (
	vnmNumberLen  = 12
	vnmDigitIndex = 14
)

// takeVietnamDigit reports the personal number's own check digit, which no
// other issuer has. A card that prints no digit there has nothing to report.
func (d *Document) takeVietnamDigit(optional string) {
	if !d.vietnamID() || !digits(optional[:vnmNumberLen]) || !digits(optional[vnmDigitIndex:]) {
		return
	}
	d.digit(DigitOptional, optional[vnmDigitIndex], optional[:vnmNumberLen])
}

func (d *Document) vietnamID() bool {
	return d.Format == TD1 && d.Issuer == "VNM" && strings.HasPrefix(d.Type, "I")
}

// VietnamNumber gives the twelve digits of a Vietnamese identity card, where
// the optional data hold them with a right check digit and their last nine
// are the number field. Strangers share the nine digits, so a number that
// fails either test is no number at all.
func (d *Document) VietnamNumber() (string, bool) {
	if !d.vietnamID() || len(d.Optional) != vnmDigitIndex+1 {
		return "", false
	}
	number := d.Optional[:vnmNumberLen]
	if !digits(number) || d.Optional[vnmNumberLen:vnmDigitIndex] != "<<" || number[3:] != d.NumberField {
		return "", false
	}
	c, err := CheckDigit(number)
	return number, err == nil && c == d.Optional[vnmDigitIndex]
}

// Info gives the MRZ information from which the chip's access keys derive:
// complete document number, birth and expiry, each with its check digit
// (ICAO 9303-11 section 4.3.2 and appendix D.2). The digits are computed, not
// taken as printed: where both differ the line was misread, and the chip was
// personalised with right ones.
func (d *Document) Info() []byte {
	number := d.Number
	if n := 9 - len(number); n > 0 {
		number += strings.Repeat("<", n)
	}
	info := make([]byte, 0, len(number)+15)
	for _, f := range []string{number, d.Birth, d.Expiry} {
		c, err := CheckDigit(f)
		if err != nil {
			return nil // not from Parse; no key is the answer that refuses
		}
		info = append(append(info, f...), c)
	}
	return info
}

// NameField gives the name as the zone has it, "SURNAME<<GIVEN<NAMES",
// without trailing filler.
func (d *Document) NameField() string {
	name := d.Surname
	if d.Given != "" {
		name += "<<" + d.Given
	}
	return strings.ReplaceAll(name, " ", "<")
}

func (d *Document) digit(field string, printed byte, over string) {
	c, err := CheckDigit(over)
	if err != nil {
		c = 0 // matches nothing printed; Parse lets no such character through
	}
	d.Digits = append(d.Digits, Digit{Field: field, Printed: printed, Computed: c})
}

// CheckDigit computes the check digit of ICAO 9303-3 section 4.9: weights 7,
// 3, 1 repeating, letters count from 10 to 35, filler 0, modulo 10.
func CheckDigit(s string) (byte, error) {
	weights := [...]int{7, 3, 1}
	sum := 0
	for i := 0; i < len(s); i++ {
		v, ok := value(s[i])
		if !ok {
			return 0, errCharacter
		}
		sum += v * weights[i%3]
	}
	return byte('0' + sum%10), nil
}

func value(c byte) (int, bool) {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0'), true
	case c >= 'A' && c <= 'Z':
		return int(c-'A') + 10, true
	case c == '<':
		return 0, true
	}
	return 0, false
}

func digits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func trim(s string) string { return strings.TrimRight(s, "<") }

func sex(c byte) string {
	if c == 'M' || c == 'F' {
		return string(c)
	}
	return ""
}
